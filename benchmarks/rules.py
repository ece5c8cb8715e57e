"""What experience can be worth in the world of rules: the profile `rules`, measured from its first observation to its last round.

    python -m benchmarks.rules [--rounds 40] [--folder FOLDER] [key=value ...]

Tells how often the nearest first situation is of the same kind of room; how often the warm-started actor leaves by the
right door alone, and when told the truth; how guided and free success part over the rounds; and all of that again on
held-out rooms after training. FOLDER keeps warm start and run, so that the same command goes on.
"""

import argparse
import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import print_table
from benchmarks.quick import CONF
from crl.bank.retrieval import Retriever
from crl.bank.snapshot_reader import FrozenBank
from crl.config import Config
from crl.config.compose import composed
from crl.embedding.open import open_embedder
from crl.embedding.protocol import Embedder
from crl.engine.open import open_engine
from crl.envs.hosting.pool import EnvPool
from crl.envs.registry import family_class, make_env
from crl.envs.rules.texts import about
from crl.envs.rules.world import parse_level, room_of, rules
from crl.episode.many import play_all
from crl.episode.plan import EpisodeSpec
from crl.episode.player import Player
from crl.episode.situation import situation
from crl.evaluation.held_out import EVALUATION_ROUND
from crl.evaluation.intervals import wilson
from crl.files import round_folder
from crl.lockstep import Turnstile
from crl.round.coevolution import CoEvolution
from crl.tasks.sets import TaskSets
from crl.tiny.warm_start import warm_start
from crl.types import EpisodeKey, Experience, Origin, Task

BLOCK = 5  # rounds to a line


@dataclass(frozen=True)
class Oracle:
    """In the place of the bank's read side: tells every episode the truth about its own room."""

    tasks: Sequence[Task]

    async def retrieve(self, scope: str, text: str, *, key: str, round: int) -> list[Experience]:
        group = int(key.split(".")[1].removeprefix("g"))
        truth = family_class("rules").oracle(self.tasks[group])
        return [Experience(f"oracle/{key}", scope, truth, text, Origin("", key, round, "seed"))]


def nearest_is_of_its_kind(config: Config, tasks: TaskSets, embedder: Embedder, name: str) -> float:
    """Share of held-out first situations whose most similar training situation, of one per kind, is of their kind."""
    keys = {}  # kind -> a training task
    for task in tasks.train[name]:
        keys.setdefault(_kind(task), task)
    held_out = list(tasks.held_out[name])
    vectors = embedder.embed(_situations(config, [*keys.values(), *held_out]), one_by_one=True)
    nearest = np.argmax(vectors[len(keys) :] @ vectors[: len(keys)].T, axis=1)
    kinds = list(keys)
    return float(np.mean([kinds[i] == _kind(task) for i, task in zip(nearest, held_out, strict=True)]))


def _kind(task: Task) -> tuple[str, str, str]:
    return room_of(task.level, task.split, task.seed).kind


def _situations(config: Config, tasks: Sequence[Task]) -> list[str]:
    env = make_env("rules", config.envs.observation)
    shown = [env.reset(task) for task in tasks]
    return [situation(observation.goal, observation.text) for observation in shown]


async def held_out(
    config: Config, actor: Path, tasks: Mapping[str, Sequence[Task]], embedder: Embedder, bank: Path | None
) -> list[list[str]]:
    """A line per entry of the mix: success alone, with the bank's experience, with the oracle's."""
    lines = []
    for name, chosen in tasks.items():
        cells = [await _success(config, actor, chosen, None)]
        if bank is None:
            cells.append("")
        else:
            turnstile = Turnstile()
            read = FrozenBank(bank, embedder.name)
            retriever = Retriever(read, config.retrieval, embedder, seed=config.run.seed, turnstile=turnstile)
            cells.append(await _success(config, actor, chosen, retriever, turnstile))
            retriever.close()
        cells.append(await _success(config, actor, chosen, Oracle(chosen)))
        lines.append([name, str(len(chosen)), *cells])
    return lines


async def _success(
    config: Config,
    actor: Path,
    tasks: Sequence[Task],
    retriever: Retriever | Oracle | None,
    turnstile: Turnstile | None = None,
) -> str:
    """Percent with Wilson's interval; an episode each."""
    turnstile = turnstile or Turnstile()
    live = min(len(tasks), config.rollout.live_episodes)
    _, chat, engine = open_engine(config, "actor", str(actor), sessions=live, turnstile=turnstile)
    with EnvPool(config.envs) as pool:
        player = Player(config, "rules", engine, chat, pool, retriever=retriever, turnstile=turnstile)
        specs = [
            EpisodeSpec(EpisodeKey(EVALUATION_ROUND, group, 0), task, guided=retriever is not None)
            for group, task in enumerate(tasks)
        ]
        ends = await play_all(player, specs, live=live)
    engine.close()
    successes = np.array([float(end.success) for end in ends])
    low, high = wilson(successes, len(tasks), 1.96)
    return f"{successes.mean():.0%} [{low:.0%}, {high:.0%}]"


async def rounds(config: Config, tasks: TaskSets, folder: Path) -> tuple[list[list[str]], Path, Path]:
    """Free and guided success by block of rounds; the trained actor; the last bank."""
    base = folder / "warm_start"
    co = CoEvolution.open(
        config, folder=folder / "run", actor=base / "actor", extractor=base / "extractor", tasks=tasks
    )
    try:
        lines, block = [], []
        while co.next_round < co.rounds_total:
            block.append((await co.play_round()).metrics)
            if len(block) == BLOCK or co.next_round == co.rounds_total:
                lines.append(_line(co.next_round - len(block), block))
                print(lines[-1], flush=True)
                block = []
        await co.finish()
        co.parts.actor.export(folder / "trained")
        print_table("what was written", ("first in rounds", "entries", "of their kind", "true"), written(co))
        return lines, folder / "trained", round_folder(co.parts.state.snapshots, co.next_round - 1)
    finally:
        await co.close()


def written(co: CoEvolution) -> list[list[str]]:
    """By block of rounds: entries of the bank, how many name the kind of room that they are found by, how many its good door."""
    (world,) = {parse_level(task.level)[1] for tasks in co.tasks.train.values() for task in tasks[:1]}
    blocks: dict[int, list[tuple[bool, bool]]] = defaultdict(list)
    for entry in co.parts.bank.entries():
        kind = tuple(entry.key_text.rpartition("\n")[2].split()[:3])
        verdict = f"take the {rules(world)[kind]} door"
        blocks[entry.origin.round // BLOCK].append(
            (entry.text.startswith(about(kind, "")), entry.text.endswith(verdict))
        )
    return [
        [
            f"{BLOCK * block} to {BLOCK * block + BLOCK - 1}",
            str(len(found)),
            *(f"{share:.0%}" for share in np.mean(found, 0)),
        ]
        for block, found in sorted(blocks.items())
    ]


def _line(first: int, block: list[dict[str, float]]) -> list[str]:
    names = (
        "rollout/success_free",
        "rollout/success_guided",
        "distil/valid_share",
        "extractor/score_mean",
        "bank/size",
    )
    means = [np.nanmean([metrics.get(name, np.nan) for metrics in block]) for name in names]
    return [f"{first} to {first + len(block) - 1}", *(f"{mean:.0%}" for mean in means[:-1]), f"{means[-1]:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=int, default=40, help="of co-evolution; 0: the warm start alone (default %(default)s)"
    )
    parser.add_argument("--folder", type=Path, help="of the models and the run; default: a new one, removed at the end")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        measure(options.folder or Path(temporary), options.rounds, options.overrides)


def measure(folder: Path, count: int, overrides: Sequence[str]) -> None:
    config = composed("rules", [f"rounds.count={max(count, 1)}", *overrides], CONF)
    tasks, embedder = TaskSets.generate(config), open_embedder(config)
    print(f"nearest situation of the same kind: {nearest_is_of_its_kind(config, tasks, embedder, 'rules'):.1%}")
    if not (folder / "warm_start").exists():
        warm_start(config, tasks, folder / "warm_start")
    headings = ("held-out rooms of", "rooms", "alone", "with the bank", "told the truth")
    base = folder / "warm_start" / "actor"
    before = asyncio.run(held_out(config, base, tasks.held_out, embedder, None))
    print_table("before training", headings, before)
    if count:
        lines, trained, bank = asyncio.run(rounds(config, tasks, folder))
        print_table(
            "training rounds", ("rounds", "free", "guided", "valid replies", "extractor's score", "entries"), lines
        )
        print_table("after training", headings, asyncio.run(held_out(config, trained, tasks.held_out, embedder, bank)))


if __name__ == "__main__":
    main()
