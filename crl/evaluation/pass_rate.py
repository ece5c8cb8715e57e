"""pass@k before training: every chosen task played n times by the base model, and which tasks to train on.

Each finished attempt is a line on disk before the next one counts on it, so a killed stage goes on where it stopped, and
a larger `attempts` adds to what is there. An attempt lost to infrastructure is played again and never counted.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import comb, nan
from pathlib import Path

from crl.config import Config
from crl.config.play import FilterConfig
from crl.errors import DataError
from crl.tasks.sets import TaskSets
from crl.types import Episode, Task

KS = (1, 2, 4, 8, 16)
COLUMNS = (
    "task_id", "name", "difficulty", "n", "c", "rate", "rate_low", "rate_high",
    *(f"pass_{k}{bound}" for k in KS for bound in ("", "_low", "_high")), "env_steps", "tokens",
)  # fmt: skip
TIMINGS = ("task_id", "name", "seconds")
ROUND = -3  # of the attempts' keys: no training and no evaluation stream is shared


@dataclass(frozen=True, slots=True)
class Attempt:
    """One counted attempt. `seconds` is wall clock, from reset to the end."""

    task_id: str
    attempt: int
    success: bool
    env_steps: int
    tokens: int
    seconds: float

    @classmethod
    def of(cls, episode: Episode) -> "Attempt":
        spans = episode.timeline
        seconds = max(span.end_s for span in spans) - min(span.start_s for span in spans) if spans else 0.0
        tokens = sum(len(turn.completion.token_ids) for turn in episode.turns)
        return cls(episode.task.id, episode.key.index, episode.success, episode.env_steps, tokens, seconds)


class AttemptLog:
    """The attempts of one base model on one set of tasks: a line each, durable when `add` returns."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._done: dict[tuple[str, int], Attempt] = {}
        whole = b""
        if file.exists():
            whole, _, torn = file.read_bytes().rpartition(b"\n")  # a kill may have cut the last line
            attempts = (Attempt(**json.loads(line)) for line in whole.splitlines())
            self._done = {(attempt.task_id, attempt.attempt): attempt for attempt in attempts}
            if torn:
                with file.open("r+b") as stream:
                    stream.truncate(len(whole) + 1 if whole else 0)
        self._stream = file.open("ab")

    def __len__(self) -> int:
        return len(self._done)

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key in self._done

    def add(self, attempt: Attempt) -> None:
        self._stream.write(json.dumps(asdict(attempt)).encode() + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._done[attempt.task_id, attempt.attempt] = attempt

    def of(self, tasks: Iterable[Task], attempts: int) -> dict[str, list[Attempt]]:
        """The first so many attempts of each task."""
        return {
            task.id: [self._done[task.id, i] for i in range(attempts) if (task.id, i) in self._done] for task in tasks
        }

    def close(self) -> None:
        self._stream.close()


def chosen(config: Config, sets: TaskSets) -> list[Task]:
    """The tasks that are tried: the training tasks of `pass_rate.tasks`, up to `max_tasks` of each."""
    names = [name for name in config.pass_rate.tasks if name in sets.train]
    return [task for name in names for task in sets.train[name][: config.pass_rate.max_tasks]]


def pass_at_k(n: int, c: int, k: int) -> float:
    """Probability that one of k attempts succeeds, unbiased from c successes in n >= k (Chen et al. 2021, eq. 1)."""
    if not 0 <= c <= n or k < 1:
        raise DataError(f"pass@{k} of {c} successes in {n} attempts: impossible. Remedy: 0 <= c <= n and k >= 1")
    return 1.0 - comb(n - c, k) / comb(n, k) if n >= k else nan


def table(tasks: Sequence[Task], attempts: Mapping[str, Sequence[Attempt]], confidence: float = 0.95) -> list[dict]:
    """One row per task: n, c, rate (with Wilson's interval), pass@k with intervals, cost in steps and tokens. NaN where n < k.

    The bounds of pass@k are those of the rate p through 1 - (1 - p)^k, which is what pass@k estimates, widened where
    needed to hold the unbiased estimate (it is 1 at c >= 1 and k = n, which no rate below 1 reaches).
    """
    from scipy.stats import binomtest  # a second, for whoever only reads the table

    rows = []
    for task in tasks:
        tried = attempts[task.id]
        n, c = len(tried), sum(attempt.success for attempt in tried)
        low, high = map(float, binomtest(c, n).proportion_ci(confidence, method="wilson")) if n else (nan, nan)
        row = {"task_id": task.id, "name": task.name, "difficulty": task.difficulty, "n": n, "c": c}
        row |= {"rate": c / n if n else nan, "rate_low": low, "rate_high": high}
        for k in KS:
            estimate = pass_at_k(n, c, k)
            row |= {f"pass_{k}": estimate, f"pass_{k}_low": min(estimate, 1 - (1 - low) ** k)}
            row[f"pass_{k}_high"] = max(estimate, 1 - (1 - high) ** k)
        rows.append(row | {name: sum(getattr(attempt, name) for attempt in tried) for name in ("env_steps", "tokens")})
    return rows


def timings(tasks: Sequence[Task], attempts: Mapping[str, Sequence[Attempt]]) -> list[dict]:
    """Each task's seconds, over all its attempts: what no two runs share, and so no column of `table`."""
    return [
        {"task_id": task.id, "name": task.name, "seconds": float(sum(tried.seconds for tried in attempts[task.id]))}
        for task in tasks
    ]


def kept(tasks: Sequence[Task], rates: Mapping[str, float], bounds: FilterConfig) -> list[Task]:
    """The tasks whose pass rate lies in (above, at_most]; those that were not tried stay."""
    return [task for task in tasks if task.id not in rates or bounds.above < rates[task.id] <= bounds.at_most]


def by_name(rows: Iterable[Mapping]) -> dict[str, list[Mapping]]:
    """Rows grouped by the entry of the mix."""
    groups: dict[str, list[Mapping]] = defaultdict(list)
    for row in rows:
        groups[row["name"]].append(row)
    return dict(groups)
