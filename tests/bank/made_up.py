"""A bank that never was, with a real ledger: for tests, benchmarks and for looking at its page.

`python -m tests.bank.made_up FOLDER` makes it.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from crl.bank.bank import Bank
from crl.bank.effect import Use
from crl.bank.records import Shown
from crl.config.bank import BankConfig, EffectConfig, RetireConfig
from crl.files import round_folder
from crl.seeding import stream
from crl.types import Operation, OperationKind, Origin
from tests.bank.samples import WordEmbedder, completion, merge

TASKS = ("keyroom", "maze", "room")
ACTS = (
    "take the key before the door", "walk along the left wall", "go to open cells first", "step back when a trap is seen",
    "search where the corridor ends", "walk straight to the stairs once they are seen", "open the door with the key",
    "turn back when all neighbours were visited", "wait a turn beside the boulder", "push the boulder east",
)  # fmt: skip
WHEN = (
    "when the room is dark", "if a door blocks the way", "at the start of an episode", "when two ways are open",
    "after the first failed attempt", "if nothing new is in sight", "while turns are left", "when the stairs are far",
)  # fmt: skip
THINGS = (
    "a key to the east",
    "a door to the north",
    "a wall",
    "stairs far south",
    "a boulder",
    "nothing else",
    "a trap",
)


def situation(rng: np.random.Generator, words: int = 4) -> str:
    seen = ", ".join(THINGS[i] for i in rng.integers(0, len(THINGS), words))
    grid = "\n".join("".join("#.·"[cell] for cell in row) for row in rng.integers(0, 3, (3, 9)))
    return f"Reach the stairs.\n{grid}\nYou see {seen}."


def advice(rng: np.random.Generator, parts: int = 3) -> str:
    said = [f"{ACTS[rng.integers(len(ACTS))]} {WHEN[rng.integers(len(WHEN))]}" for _ in range(parts)]
    return f"{'; '.join(said)}, within {rng.integers(3, 99)} turns.".capitalize()


def make(folder: Path, *, rounds: int = 12, per_round: int = 12, parts: int = 3, snapshots: bool = True) -> Path:
    """Rounds in which entries are written, shown, merged and retired; returns the folder, as a run's."""
    rng = stream(7, "made-up-bank")
    config = BankConfig(
        retire=RetireConfig(certainty=0.95, groups=3), effect=EffectConfig(pooling="scope"), dedup_similarity=None
    )
    bank = Bank(folder / "bank", config, WordEmbedder(), run_id="made-up", seed=7)
    worth: dict[str, float] = {}
    for round_ in range(rounds):
        for number in range(0, per_round, 3):
            task, id_ = TASKS[number // 3 % len(TASKS)], f"r{round_}.c{number}"
            operations = [Operation(OperationKind.ADD, advice(rng, parts)) for _ in range(3)]
            origin = Origin(id_, f"r{round_}.g{number // 3}.e4", round_, "distil")
            done = bank.apply(
                operations, scope=task, key_text=situation(rng), origin=origin, completion=completion(id_)
            )
            worth |= {entry: float(rng.normal(0.0, 0.35)) for entry in done.added if entry not in worth}
        bank.record_uses(list(_uses(bank, rng, worth, round_)))
        bank.retire(round=round_)
        if round_ % 3 == 2:
            for task in TASKS:
                _merge_some(bank, rng, worth, task, round_)
        if snapshots:
            bank.snapshot(round_folder(folder / "snapshots", round_))
    bank.close()
    return folder


def _uses(bank: Bank, rng: np.random.Generator, worth: dict[str, float], round_: int) -> Iterator[Use]:
    """A third of the entries is shown, in one to three groups each."""
    for entry in bank.entries():
        for group in range(int(rng.integers(1, 4)) if rng.random() < 1 / 3 else 0):
            bank.count_shown([Shown(entry.id, f"r{round_}.g{group}.e4.{entry.id}", round_)] * 4)
            won = int(rng.binomial(4, np.clip(0.45 + worth[entry.id], 0, 1)))
            yield Use(entry.id, round_, group, 4, won, 4, int(rng.binomial(4, 0.45)))


def _merge_some(bank: Bank, rng: np.random.Generator, worth: dict[str, float], task: str, round_: int) -> None:
    entries = bank.entries(task)
    parents = [entries[i].id for i in rng.choice(len(entries), 3, replace=False)]
    made = merge(bank, f"m{round_}.{task}", parents, advice(rng, 2), scope=task, round=round_)
    worth |= dict.fromkeys(made.added, float(np.mean([worth[parent] for parent in parents])) + 0.1)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
