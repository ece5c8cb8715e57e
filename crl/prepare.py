"""The first stage: fix the held-out levels as data, and prove that every level of the mix can be built."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from crl.config import Config
from crl.envs.registry import make_env
from crl.errors import DataError
from crl.tasks import held_out_tasks, make_task
from crl.types import Task


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """How many held-out levels each task has, and how many different beginnings they show."""

    levels: dict[str, int]
    distinct: dict[str, int]


def prepare(config: Config, folder: Path) -> TaskSummary:
    """Write `eval.parquet`: one row per held-out level with its goal and first observation. Raises EnvError."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    env = None
    for task in held_out_tasks(config):
        if env is None or rows[-1]["family"] != task.family:
            env = make_env(task.family, config.envs.observation)
        observation = env.reset(task)
        rows.append({**asdict(task), "goal": observation.goal, "first_observation": observation.text})
    for name in config.tasks.mix:  # a training level of each task, too: a wrong level id must fail here, not in an hour
        env.reset(make_task(config, name, 0, "train"))
    env.close()
    frame = pd.DataFrame(rows)
    frame.to_parquet(folder / "eval.parquet", index=False)
    distinct = {name: len(group.first_observation.unique()) for name, group in frame.groupby("name")}
    return TaskSummary(dict(Counter(frame.name)), distinct)


def read_held_out(folder: Path) -> tuple[Task, ...]:
    """The held-out tasks as `prepare` wrote them. Raises DataError."""
    file = folder / "eval.parquet"
    if not file.is_file():
        raise DataError(f"{file}: missing. Remedy: run the stage prepare (`dvc repro prepare`)")
    columns = list(Task.__dataclass_fields__)
    return tuple(Task(**row) for row in pd.read_parquet(file, columns=columns).to_dict("records"))
