"""Whether a candidate replaces the champion: a paired, seeded comparison on the held-out levels, and its bound.

Pure: no tracker, no orchestrator, no model.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Literal

from crl.config import Config
from crl.config.servers import Requirement
from crl.errors import DataError
from crl.evaluation.paired import Paired, paired
from crl.evaluation.statistics import Arm, EpisodeRow

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
    bank: Paired | None = None  # its bank against the champion's, both with its actor; None: not tested

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
        if self.bank:
            known["crl.decision.bank"] = self.bank.verdict
            known |= {f"crl.decision.bank.{name}": _text(value) for name, value in asdict(self.bank).items()}
        return known

    def metrics(self) -> dict[str, float]:
        compared = asdict(self.comparison) if self.comparison else {}
        compared |= {f"bank_{name}": value for name, value in asdict(self.bank).items()} if self.bank else {}
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
        if b := self.bank:
            lines += [
                "",
                f"The candidate's actor with its own bank and with the champion's, {b.levels} levels: {b.new:.3f} and {b.old:.3f}; "
                f"its own is {b.verdict}, gain {b.gain:+.3f} [{b.gain_low:+.3f}, {b.gain_high:+.3f}].",
            ]
        if self.replayed is not None:
            lines += [
                "",
                "The champion was played again." if self.replayed else "The champion's stored episodes were used.",
            ]
        return "\n".join(lines)


def compare(candidate: Iterable[EpisodeRow], opponent: Iterable[EpisodeRow], config: Config) -> Comparison:
    """Compare two agents' episodes of the arm `evaluate.champion.arm`; rows of the other arm do not matter.

    Raises DataError when one has no episode of that arm, or they share no level.
    """
    arm, rules = config.evaluate.champion.arm, config.evaluate
    ours, theirs = ([row for row in rows if row.arm == arm] for rows in (candidate, opponent))
    if not ours or not theirs:
        whose = "candidate" if not ours else "opponent"
        raise DataError(
            f"evaluate.champion.arm = {arm}: the {whose} has no episode of it. Remedy: evaluate both with it, or name the other"
        )
    overall = paired(ours, theirs, config)[-1]
    return Comparison(
        arm, overall.gain, overall.gain_low, overall.gain_high, overall.new, overall.old, overall.levels,
        rules.confidence, rules.champion.min_gain,
    )  # fmt: skip


def judged(comparison: Comparison, version: int, opponent: str, replayed: bool | None) -> Decision:
    """What follows from a comparison."""
    better, exceeds = ("Better", "exceeds") if comparison.passes else ("Not shown to be better", "does not exceed")
    bounds = f"the gain's lower bound {comparison.gain_low:+.3f} {exceeds} {comparison.min_gain:+.3f}"
    verdict: Verdict = "promoted" if comparison.passes else "refused"
    return Decision(verdict, f"{better} than {opponent}: {bounds}.", opponent, version, comparison, replayed)


def with_bank(decision: Decision, bank: Paired, required: Requirement) -> Decision:
    """A promotion whose bank was tested against the champion's: it stands where the test says what is required."""
    found = {"better": "better than", "worse": "worse than", "not told apart": "not told apart from"}[bank.verdict]
    reason = (
        f"{decision.reason} With its actor, its bank is {found} the champion's: {bank.gain:+.3f} "
        f"[{bank.gain_low:+.3f}, {bank.gain_high:+.3f}] success"
    )
    if bank.meets(required):
        return replace(decision, reason=f"{reason}.", bank=bank)
    reason = f"{reason}, and evaluate.champion.require_bank = {required!r}."
    return replace(decision, verdict="refused", reason=reason, bank=bank)


def unlike(candidate: Config, champion: Config) -> str | None:
    """Why one actor cannot play with the banks of both; None where it can."""
    pairs = {
        "models.embedder": (candidate.models.embedder, champion.models.embedder),
        "bank.scope": (candidate.bank.scope, champion.bank.scope),
    }
    differing = (
        f"{field} is {ours!r} here and {theirs!r} there" for field, (ours, theirs) in pairs.items() if ours != theirs
    )
    return "; ".join(differing) or None


def refused_untested(decision: Decision, why: str, required: Requirement) -> Decision:
    """A promotion for which a test of the banks is required that cannot be played."""
    reason = (
        f"{decision.reason} Its bank cannot be tested against the champion's, which evaluate.champion.require_bank = "
        f"{required!r} asks for: {why}. Remedy: `python -m flows.registry.promotion promote {decision.version}` if it should "
        "serve all the same"
    )
    return replace(decision, verdict="refused", reason=reason)


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
