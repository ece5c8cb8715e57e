"""Every environment: its tasks, its speed alone and in the pool, and who solves it.

    python -m benchmarks.envs [--env FAMILY ...] [--tasks N] [--json FILE]

A row per environment and split: tasks in the split, reset and step in milliseconds (one process, random actions of the grid
style; of the slots style for SWE, whose grid actions are free text), steps per second in the pool with 1 and 2 workers and
16 episodes at once, the share of tasks solved by the family's oracle and by random actions. A sample of N tasks per split
is played (0: all of them).
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.common import write_json
from crl.config.play import EnvsConfig
from crl.config.sandbox import SandboxConfig
from crl.envs.contract import Observation
from crl.envs.family import TaskRequest
from crl.envs.hosting.pool import EnvPool
from crl.envs.registry import make_env
from crl.seeding import stream
from crl.tasks.sets import of_family
from crl.tiny.scripts import solution_of
from crl.types import Outcome, Task

EVAL_SEEDS = 5_000_000
LIVE = 16


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured of a family: the paper's level, and how many tasks a split has there (0: without end)."""

    family: str
    level: str
    train: int
    held_out: int
    max_steps: int = 30
    style: str = "grid"  # of random play


SETTINGS = (
    Setting("minihack", "MiniHack-Room-Ultimate-5x5-v0", 100_000, 128),
    Setting("minihack", "MiniHack-MazeWalk-9x9-v0", 100_000, 128),
    Setting("minihack", "MiniHack-KeyRoom-S5-v0", 100_000, 128),
    Setting("sokoban", "6x6-2", 10_000, 128),
    Setting("webshop", "small", 1_000, 128),
    Setting("alfworld", "generated", 200, 60),  # of any number: a game is generated and verified in 0.3 s
    Setting("swe", "local", 500, 500, style="slots"),
)


@dataclass(frozen=True, slots=True)
class EnvRow:
    env: str
    split: str
    tasks: int
    reset_ms: float
    step_ms: float
    steps_per_s_1_worker: float
    steps_per_s_2_workers: float
    oracle: float  # share of the sample solved by the family's proof
    random: float
    sample: int


def tasks_of(setting: Setting, split: str) -> list[Task]:
    train = split == "train"
    count = setting.train if train else setting.held_out
    first = 0 if train else EVAL_SEEDS
    asked = TaskRequest(setting.family, setting.family, setting.level, split, setting.max_steps, count, first)
    return list(of_family(asked, EnvsConfig()))


def measure(setting: Setting, split: str, sample: int) -> EnvRow:
    tasks = tasks_of(setting, split)
    step = max(1, len(tasks) // sample) if sample else 1
    played = tasks[::step][: sample or None]
    resets, steps, random_wins = _one_process(setting, played)
    return EnvRow(
        env=f"{setting.family} {setting.level}",
        split=split,
        tasks=len(tasks),
        reset_ms=1e3 * statistics.median(resets),
        step_ms=1e3 * statistics.median(steps),
        steps_per_s_1_worker=_pooled(setting, played, 1),
        steps_per_s_2_workers=_pooled(setting, played, 2),
        oracle=_oracle(setting, played),
        random=random_wins / len(played),
        sample=len(played),
    )


def choose(observation: Observation, rng) -> str:
    return observation.actions[int(rng.integers(len(observation.actions)))]


def _one_process(setting: Setting, tasks: Sequence[Task]) -> tuple[list[float], list[float], int]:
    resets, steps, wins = [], [], 0
    with closing(make_env(setting.family, setting.style, SandboxConfig(warm=0))) as env:
        env.reset(tasks[0])  # the first one loads what the process keeps
        for task in tasks:
            rng, began = stream("benchmark", task.id), time.perf_counter()
            observation = env.reset(task)
            resets.append(time.perf_counter() - began)
            while True:
                began = time.perf_counter()
                result = env.step(choose(observation, rng))
                steps.append(time.perf_counter() - began)
                observation = result.observation
                if result.done:
                    wins += result.outcome is Outcome.SUCCESS
                    break
    return resets, steps, wins


def _pooled(setting: Setting, tasks: Sequence[Task], workers: int) -> float:
    """Steps per second of random play, resets included, after every worker has started."""

    async def play(pool: EnvPool, queue, counted: list[int]) -> None:
        for task in queue:
            rng = stream("pool", task.id)
            slot, observation = await pool.reset(task)
            while True:
                result = await pool.step(slot, choose(observation, rng))
                counted[0] += 1
                observation = result.observation
                if result.done:
                    break
            pool.release(slot)

    async def run() -> float:
        with EnvPool(EnvsConfig(observation=setting.style, workers=workers, call_timeout_s=600.0)) as pool:
            await asyncio.gather(*(play(pool, iter(tasks[:1]), [0]) for _ in range(2 * workers)))
            counted, queue, began = [0], iter(tasks), time.perf_counter()
            await asyncio.gather(*(play(pool, queue, counted) for _ in range(LIVE)))
            return counted[0] / (time.perf_counter() - began)

    return asyncio.run(run())


def _oracle(setting: Setting, tasks: Sequence[Task]) -> float:
    solution, wins = solution_of(setting.family), 0
    with closing(make_env(setting.family, "grid", SandboxConfig(warm=0))) as env:
        for task in tasks:
            env.reset(task)
            for action in solution(task):
                result = env.step(action)
            wins += result.outcome is Outcome.SUCCESS
    return wins / len(tasks)


def show(rows: Sequence[EnvRow]) -> None:
    table = Table("env", "split", title="environments")
    headings = ("tasks", "reset ms", "step ms", "steps/s, 1 worker", "2 workers", "oracle", "random", "sample")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        figures = (
            f"{value:,.3g}"
            for value in (row.reset_ms, row.step_ms, row.steps_per_s_1_worker, row.steps_per_s_2_workers)
        )
        table.add_row(
            row.env, row.split, f"{row.tasks:,}", *figures, f"{row.oracle:.0%}", f"{row.random:.0%}", str(row.sample)
        )
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", nargs="*", help="families (default: all)")
    parser.add_argument("--tasks", type=int, default=100, help="played per split; 0: all (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as a JSON list")
    options = parser.parse_args()
    wanted = [setting for setting in SETTINGS if not options.env or setting.family in options.env]
    cells = [(setting, split) for setting in wanted for split in ("train", "eval")]
    rows = [measure(*cell, options.tasks) for cell in track(cells, description="environments")]
    show(rows)
    write_json(rows, options.json)


if __name__ == "__main__":
    main()
