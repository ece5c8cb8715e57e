"""The first stage, for one entry of the mix: its instances become data, and prove that they can be built."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from crl.config import Config
from crl.envs.errors import EnvUnavailable
from crl.envs.optional import missing
from crl.envs.registry import is_built_in, make_env
from crl.errors import DataError
from crl.tasks.sets import SPLITS, UNAVAILABLE, instances, write
from crl.types import Task

Progress = Callable[[str, int, int], None]  # (what, done, of)


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """How many instances each split has, how many different beginnings the held-out ones show, how hard they are."""

    name: str
    family: str
    level: str
    train: int = 0
    held_out: int = 0
    distinct: int = 0
    difficulty: tuple[float, float, float] | None = None  # lowest, median, highest of the training instances
    unavailable: str | None = None  # why this machine cannot play the family


def prepare(config: Config, name: str, folder: Path, progress: Progress = lambda what, done, of: None) -> TaskSummary:
    """Write `folder/<name>/{train,eval}.parquet`, or the reason why this machine cannot play the entry.

    Raises EnvError when an instance cannot be built, DataError when a split is empty or shares one with the other, and
    ModuleNotFoundError for a family of one's own that imports what is not there.
    """
    entry, target = config.tasks.mix[name], folder / name
    rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    try:
        splits = {split: list(_counted(instances(config, name, split), split, progress)) for split in SPLITS}
        _refuse_bad(name, splits)
        distinct = _beginnings(config, splits, progress)
    except (EnvUnavailable, ModuleNotFoundError) as error:
        told = error
        if isinstance(error, ModuleNotFoundError):
            if not is_built_in(entry.family):  # a slip; what such a family may lack it loads by `crl.envs.optional`
                raise
            told = missing(entry.family, error)
        (target / UNAVAILABLE).write_text(str(told))
        return TaskSummary(name, entry.family, entry.level, unavailable=str(told))
    for split, tasks in splits.items():
        write(tasks, target / f"{split}.parquet")
    train, held_out = (splits[split] for split in SPLITS)
    return TaskSummary(name, entry.family, entry.level, len(train), len(held_out), distinct, _spread(train))


def _counted(tasks: Iterable[Task], split: str, progress: Progress) -> Iterator[Task]:
    for count, task in enumerate(tasks, start=1):
        if count % 50 == 0 or count == 1:
            progress(f"{split} instances", count, 0)
        yield task


def _refuse_bad(name: str, splits: dict[str, list[Task]]) -> None:
    empty = [split for split, tasks in splits.items() if not tasks]
    if empty:
        raise DataError(
            f"tasks.mix.{name}: no {' and no '.join(empty)} instance. Remedy: widen its level or its difficulty"
        )
    train, held_out = ({(task.level, task.seed, task.payload) for task in tasks} for tasks in splits.values())
    if both := train & held_out:
        raise DataError(
            f"tasks.mix.{name}: {len(both)} instances are in both splits. Remedy: mend the family's task_set"
        )


def _beginnings(config: Config, splits: dict[str, list[Task]], progress: Progress) -> int:
    """Build every held-out instance and one training instance: a wrong level must fail here, not in an hour."""
    envs, (train, held_out) = config.envs, splits.values()
    with closing(make_env(held_out[0].family, envs.observation, envs.sandbox)) as env:
        env.reset(train[0])
        seen = set()
        for count, task in enumerate(held_out, start=1):
            observation = env.reset(task)
            seen.add((observation.goal, observation.text))
            progress("held-out instances built", count, len(held_out))
    return len(seen)


def _spread(tasks: list[Task]) -> tuple[float, float, float] | None:
    known = sorted(task.difficulty for task in tasks if task.difficulty is not None)
    return (known[0], known[len(known) // 2], known[-1]) if known else None
