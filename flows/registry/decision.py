"""Whether a candidate replaces the champion: a paired, seeded comparison on the held-out levels, and its bound.

Pure: no tracker, no orchestrator, no model.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Literal

from crl.config import Config
from crl.errors import DataError
from crl.evaluation.statistics import Arm, EpisodeRow, summarise

Verdict = Literal["promoted", "refused", "unchanged", "postponed"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Success of the candidate minus the opponent's, over the levels that both played, with its interval."""

    arm: Arm
    gain: float
    gain_low: float
    gain_high: float
    candidate_success: float  # means
    opponent_success: float
    levels: int
    confidence: float
    min_gain: float

    @property
    def passes(self) -> bool:
        """The whole interval lies above what is asked."""
        return self.gain_low > self.min_gain


@dataclass(frozen=True, slots=True)
class Decision:
    """What the evaluation decided about one version, and why."""

    verdict: Verdict
    reason: str
    opponent: str  # "version 3" | "the base actor"
    version: int | None = None  # None: the registry did not take it
    comparison: Comparison | None = None  # None: nothing was compared
    replayed: bool | None = None  # whether the champion was played again for it

    def tags(self) -> dict[str, str]:
        """For the version and for the evaluation's run."""
        known = {
            "crl.decision": self.verdict,
            "crl.decision.reason": self.reason,
            "crl.decision.opponent": self.opponent,
        }
        if self.replayed is not None:
            known["crl.decision.replayed"] = str(self.replayed).lower()
        if self.comparison:
            known |= {f"crl.decision.{name}": _text(value) for name, value in asdict(self.comparison).items()}
        return known

    def metrics(self) -> dict[str, float]:
        compared = asdict(self.comparison) if self.comparison else {}
        figures = {f"champion/{name}": value for name, value in compared.items() if isinstance(value, float | int)}
        return figures | {"champion/promoted": float(self.verdict == "promoted")}

    def markdown(self) -> str:
        title = f"version {self.version}" if self.version else "the candidate"
        lines = [f"# Champion: {title} {self.verdict}", "", self.reason, ""]
        if c := self.comparison:
            lines += [
                f"Arm `{c.arm}`, {c.levels} held-out levels, the same seeds on both sides.",
                "",
                "| | success |",
                "|---|---|",
                f"| candidate | {c.candidate_success:.3f} |",
                f"| {self.opponent} | {c.opponent_success:.3f} |",
                f"| gain, paired | {c.gain:+.3f} |",
                f"| {c.confidence:.0%} interval | {c.gain_low:+.3f} to {c.gain_high:+.3f} |",
                f"| its lower end must exceed | {c.min_gain:+.3f} |",
            ]
        if self.replayed is not None:
            lines += [
                "",
                "The champion was played again." if self.replayed else "The champion's stored episodes were used.",
            ]
        return "\n".join(lines)


def compare(candidate: Iterable[EpisodeRow], opponent: Iterable[EpisodeRow], config: Config) -> Comparison:
    """Compare two agents' episodes of the arm `evaluate.champion.arm`; rows of the other arm do not matter.

    Raises DataError when they share no level.
    """
    arm, rules = config.evaluate.champion.arm, config.evaluate
    ours = [replace(row, phase="after") for row in candidate if row.arm == arm]
    theirs = [replace(row, phase="before") for row in opponent if row.arm == arm]
    shared = {(row.task, row.level_id) for row in ours} & {(row.task, row.level_id) for row in theirs}
    if not shared:
        raise DataError(
            f"evaluate.champion.arm = {arm!r}: candidate and opponent share no level. Remedy: evaluate again"
        )
    rows = [row for row in (*ours, *theirs) if (row.task, row.level_id) in shared]
    summary = summarise(rows, samples=rules.bootstrap_samples, confidence=rules.confidence, seed=config.run.seed)
    gain = summary.difference("after_minus_before", arm)
    return Comparison(
        arm, gain.success, gain.success_low, gain.success_high,
        summary.cell("after", arm).success, summary.cell("before", arm).success, len(shared),
        rules.confidence, rules.champion.min_gain,
    )  # fmt: skip


def judged(comparison: Comparison, version: int, opponent: str, replayed: bool | None) -> Decision:
    """What follows from a comparison."""
    better, exceeds = ("Better", "exceeds") if comparison.passes else ("Not shown to be better", "does not exceed")
    bounds = f"the gain's lower bound {comparison.gain_low:+.3f} {exceeds} {comparison.min_gain:+.3f}"
    verdict: Verdict = "promoted" if comparison.passes else "refused"
    return Decision(verdict, f"{better} than {opponent}: {bounds}.", opponent, version, comparison, replayed)


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
