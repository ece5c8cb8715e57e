"""Good data of every gated kind, made by what makes them in a run."""

from pathlib import Path

import numpy as np
import pandas as pd

from crl.bank.effect import Belief, EntryEffect
from crl.bank.records import Keyed
from crl.bank.snapshot import FILE_NAME, table_of, write_table
from crl.config import Config, from_mapping
from crl.config.compose import compose
from crl.evaluation.pass_rate import COLUMNS, Attempt, table
from crl.tasks.sets import write
from crl.types import (
    Completion,
    Episode,
    EpisodeFailure,
    EpisodeKey,
    Experience,
    FailureCause,
    Origin,
    Outcome,
    Task,
    Turn,
    TurnKind,
)

LEVEL = "Sokoban-6x6-2"
ATTEMPTS = 16
GROUPS, GROUP_SIZE, FREE = 4, 4, 2
ROOT = Path(__file__).parents[2]


def config(mix: dict[str, dict], **bank: int) -> Config:
    """Parameters of a run of which the data here are; each entry of the mix is of the family and level that `tasks` are of."""
    values = compose("quick", folder=ROOT / "conf")
    common = {"family": "sokoban", "level": LEVEL, "max_steps": 30}
    values["tasks"]["mix"] = {name: common | entry for name, entry in mix.items()}
    values["rollout"] |= {"groups": GROUPS, "group_size": GROUP_SIZE, "free_per_group": FREE, "max_failed_share": 0.1}
    values["bank"] |= bank
    return from_mapping(values)


def tasks(split: str, count: int = 12, first: int = 0) -> list[Task]:
    """Of a family with payloads and difficulties."""
    return [
        Task(
            f"push/{split}/{i}",
            "push",
            "sokoban",
            LEVEL,
            first + i,
            30,
            split,
            f"map {first + i}",
            "Fill all targets.",
            2.0 + i,
        )
        for i in range(count)
    ]


def task_file(folder: Path, split: str, first: int = 0) -> Path:
    file = folder / "push" / f"{split}.parquet"
    write(tasks(split, first=first), file)
    return file


def pass_rate_table() -> pd.DataFrame:
    """Every number of successes from 0 to all."""
    tried = tasks("train", ATTEMPTS + 1)
    attempts = {
        task.id: [Attempt(task.id, i, i < successes, 5, 40, 0.5) for i in range(ATTEMPTS)]
        for successes, task in enumerate(tried)
    }
    return pd.DataFrame(table(tried, attempts), columns=COLUMNS)


def ends() -> list[Episode | EpisodeFailure]:
    """A round of four groups, half of them guided, in which one episode was lost."""
    return [
        lost(key) if key == EpisodeKey(3, 0, 1) else episode(key)
        for key in (EpisodeKey(3, group, index) for group in range(GROUPS) for index in range(GROUP_SIZE))
    ]


def episode(key: EpisodeKey) -> Episode:
    """Even positions succeed; others end with 0, or with -1 in the last group."""
    success = key.index % 2 == 0
    reward = 1.0 if success else -1.0 if key.group == GROUPS - 1 else 0.0
    turn = Turn(TurnKind.ACTION, "a wall", Completion("c", (1, 2, 3), (4,), (-0.1,), "up", "stop", 0), "up", reward)
    outcome = Outcome.SUCCESS if success else Outcome.TIMEOUT
    return Episode(key, tasks("train")[key.group], key.index >= FREE, (turn, turn), outcome, reward, 2)


def lost(key: EpisodeKey) -> EpisodeFailure:
    return EpisodeFailure(
        key, tasks("train")[key.group], key.index >= FREE, FailureCause.ENV_CRASH, "the worker died", 3
    )


class Nothing:
    """What is known of entries that nobody used."""

    def effect(self, entry_id: str) -> EntryEffect | None:
        return None

    def belief(self, entry_id: str) -> Belief:
        return Belief(0.0, 0.3)


def snapshot(folder: Path) -> Path:
    """Entries that were distilled, merged and given; some were shown."""
    entries = [
        entry("a", Origin("completion-1", "r0.g1.e2", 0, "distil"), shown=3, last_shown_round=2),
        entry("b", Origin("completion-2", "r2.g0.e3", 2, "distil")),
        entry("c", Origin("completion-3", "", 1, "merge"), parents=("x", "y")),
        entry("d", Origin("", "", 0, "seed")),
        *(entry(f"e{i}", Origin(f"completion-{i + 4}", f"r1.g0.e{i}", 1, "distil")) for i in range(4)),
    ]
    write_table(table_of(entries, Nothing(), "minilm"), folder / FILE_NAME)
    return folder / FILE_NAME


def entry(id_: str, origin: Origin, **counted) -> Keyed:
    experience = Experience(
        id_, "push", f"never push a box into corner {id_}", "Fill all targets.\na wall", origin, **counted
    )
    return Keyed(experience, np.zeros(4, np.float32))
