"""Task sets: the instances of every mix entry, made by its family, kept as a Parquet table per entry and split.

data/tasks/<entry>/{train,eval}.parquet        columns: the fields of `Task`
data/tasks/<entry>/unavailable.txt             instead of them, when this machine cannot play the family
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, fields, replace
from itertools import islice
from pathlib import Path

from crl.config import Config
from crl.config.play import EnvsConfig, TaskConfig
from crl.envs.family import SeedTasks, TaskRequest, TaskSequence
from crl.envs.registry import family_class, make_env
from crl.errors import DataError
from crl.files import digest_folder
from crl.types import Task

SPLITS = ("train", "eval")
UNAVAILABLE = "unavailable.txt"
_COLUMNS = tuple(field.name for field in fields(Task))
_LOOK_FURTHER = 100  # a family is asked for so many times the wanted instances when difficulty filters them


def request(config: Config, name: str, split: str) -> TaskRequest:
    """What the parameters ask of an entry's family."""
    entry, tasks = config.tasks.mix[name], config.tasks
    train = split == "train"
    count = (entry.train_levels or tasks.train_levels) if train else (entry.eval_levels or tasks.eval_levels)
    first = 0 if train else tasks.eval_seed_start
    return TaskRequest(name, entry.family, entry.level, split, entry.max_steps, count, first, entry.source)


def instances(config: Config, name: str, split: str) -> Sequence[Task] | Iterator[Task]:
    """The entry's instances of one split, within its difficulty bounds. Raises ConfigError, EnvError or DataError."""
    entry, asked = config.tasks.mix[name], request(config, name, split)
    if entry.min_difficulty is None and entry.max_difficulty is None:
        tasks = of_family(asked, config.envs)
        return tasks if isinstance(tasks, Sequence) else islice(tasks, asked.count)
    more = replace(asked, count=asked.count * _LOOK_FURTHER)
    return islice((task for task in of_family(more, config.envs) if _within(entry, task)), asked.count)


def of_family(asked: TaskRequest, envs: EnvsConfig) -> Iterable[Task]:
    """The instances that a family gives for a request. Raises ConfigError, EnvError or DataError."""
    family = family_class(asked.family)
    if hasattr(family, "task_set"):
        return family.task_set(asked)
    with closing(make_env(asked.family, envs.observation, envs.sandbox)) as env:
        return SeedTasks(asked, env.reset(asked.task(asked.first_seed)).goal)


def _within(entry: TaskConfig, task: Task) -> bool:
    if task.difficulty is None:
        raise DataError(
            f"tasks.mix.{task.name}: {task.id} has no difficulty to filter by. Remedy: drop min_difficulty and max_difficulty"
        )
    low = entry.min_difficulty is None or task.difficulty >= entry.min_difficulty
    return low and (entry.max_difficulty is None or task.difficulty <= entry.max_difficulty)


def write(tasks: Iterable[Task], file: Path) -> None:
    """One row per task, in order; the same tasks give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"seed": pa.int64(), "max_steps": pa.int64(), "difficulty": pa.float64()}
    rows = list(tasks)
    columns = {  # by column: a quick run's tables have 100,000 rows each
        column: pa.array([getattr(task, column) for task in rows], types.get(column, pa.string()))
        for column in _COLUMNS
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file, compression="zstd")


class TaskTable(TaskSequence):
    """A Parquet file's rows."""

    def __init__(self, file: Path) -> None:
        import pyarrow.parquet as pq

        if not file.is_file():
            raise DataError(f"{file}: missing. Remedy: run the stage that writes it (`dvc repro filter`)")
        self._table = pq.read_table(file, columns=list(_COLUMNS))

    def __len__(self) -> int:
        return self._table.num_rows

    def task_at(self, index: int) -> Task:
        return Task(**self._table.slice(index, 1).to_pylist()[0])


@dataclass(frozen=True)
class TaskSets:
    """What a run plays: training and held-out instances by mix entry, and a digest of all of it."""

    train: Mapping[str, Sequence[Task]]
    held_out: Mapping[str, Sequence[Task]]
    digest: str
    unavailable: Mapping[str, str]  # entries that this machine cannot play, and why

    @classmethod
    def read(cls, folder: Path, names: Iterable[str]) -> "TaskSets":
        """The tables of a folder. Raises DataError when one is missing or nothing can be played."""
        names = list(names)
        missing = {name: reason for name in names if (reason := why_unavailable(folder / name))}
        playable = [name for name in names if name not in missing]
        if not playable:
            raise DataError(f"{folder}: no entry of the mix can be played. " + " ".join(missing.values()))
        train, held_out = (
            {name: TaskTable(folder / name / f"{split}.parquet") for name in playable} for split in SPLITS
        )
        digests = [f"{name} {digest_folder(folder / name)}" for name in names]
        return cls(train, held_out, _digest(*digests), missing)

    @classmethod
    def generate(cls, config: Config) -> "TaskSets":
        """The same instances without files: for programs that run no pipeline."""
        train, held_out = (
            {name: _sequence(instances(config, name, split)) for name in config.tasks.mix} for split in SPLITS
        )
        return cls(train, held_out, _digest(config.tasks.model_dump_json()), {})

    @property
    def evaluation(self) -> tuple[Task, ...]:
        """All held-out instances, in the order of the mix."""
        return tuple(task for tasks in self.held_out.values() for task in tasks)


def levels_digest(tasks: Iterable[Task]) -> str:
    """Of instances in their order: what a figure was measured on."""
    return hashlib.blake2b(json.dumps([astuple(task) for task in tasks]).encode(), digest_size=16).hexdigest()


def why_unavailable(folder: Path) -> str | None:
    """Why an entry cannot be played here, as the stage `prepare` found; None when it can."""
    note = folder / UNAVAILABLE
    return note.read_text() if note.is_file() else None


def _sequence(tasks: Sequence[Task] | Iterator[Task]) -> Sequence[Task]:
    return tasks if isinstance(tasks, Sequence) else tuple(tasks)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
