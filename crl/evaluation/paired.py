"""Two sides on the same held-out levels: success of the new one minus the old one's, and what that says in a word."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from crl.config import Config
from crl.config.servers import Requirement
from crl.errors import DataError
from crl.evaluation.statistics import EpisodeRow, summarise

Verdict = Literal["better", "worse", "not told apart"]


@dataclass(frozen=True, slots=True)
class Paired:
    """Of one task, or of all: success rates over the levels that both sides played, and their difference with its interval."""

    task: str
    levels: int
    new: float
    old: float
    gain: float
    gain_low: float
    gain_high: float
    confidence: float

    @property
    def verdict(self) -> Verdict:
        """Better or worse where the whole interval lies on one side of 0."""
        if self.gain_low > 0:
            return "better"
        return "worse" if self.gain_high < 0 else "not told apart"

    def meets(self, requirement: Requirement) -> bool:
        return self.verdict == "better" if requirement == "better" else self.verdict != "worse"


def paired(new: Iterable[EpisodeRow], old: Iterable[EpisodeRow], config: Config) -> tuple[Paired, ...]:
    """Each task in order of name, `all` last; rows of one arm, whatever their phase.

    The statistics are those of an evaluation (`evaluate.bootstrap_samples`, `evaluate.confidence`), with `new` as after and
    `old` as before. Raises DataError when the two share no level.
    """
    ours, theirs = (
        [replace(row, arm="guided", phase=phase) for row in rows] for rows, phase in ((new, "after"), (old, "before"))
    )
    shared = {(row.task, row.level_id) for row in ours} & {(row.task, row.level_id) for row in theirs}
    if not shared:
        raise DataError("the two sides share no level. Remedy: play both on the same held-out levels")
    rules, rows = config.evaluate, [row for row in (*ours, *theirs) if (row.task, row.level_id) in shared]
    summary = summarise(rows, samples=rules.bootstrap_samples, confidence=rules.confidence, seed=config.run.seed)
    found = []
    for task in summary.tasks:
        gain = summary.difference("after_minus_before", "guided", task)
        rates = (summary.cell(phase, "guided", task).success for phase in ("after", "before"))
        levels = sum(task in (name, "all") for name, _ in shared)
        found.append(
            Paired(task, levels, *rates, gain.success, gain.success_low, gain.success_high, summary.confidence)
        )
    return tuple(found)
