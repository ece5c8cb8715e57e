"""What the numbers say, in plain words. Nothing is claimed that its interval does not support."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from crl.evaluation.statistics import ALL, Estimate, EvaluationSummary
from crl.report.inputs import RoundsTable
from crl.round.report import EffectRow

CHANCE = "The interval includes 0, so this may be chance."
EXPERIENCES = "Experiences of the bank, by the success of episodes that retrieved them (95 % intervals):"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`tone` is "better", "worse" or "undecided": the direction of the headline's claim."""

    headline: str
    tone: str
    sentences: tuple[str, ...]


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def points(difference: float) -> str:
    """Percentage points with sign: +12, −3, 0."""
    return signed(100 * difference, 0)


def signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text[1:] if float(f"{value:.{digits}f}") == 0 else text


def verdict(summary: EvaluationSummary) -> Verdict:
    """The headline claims learning only where an interval of the change excludes 0."""
    gains = {arm: summary.difference("after_minus_before", arm) for arm in ("guided", "free")}
    told = [(arm, gain) for arm, gain in gains.items() if gain]
    decided = [(arm, gain) for arm, gain in told if gain.excludes_zero]
    better = next(((arm, gain) for arm, gain in decided if gain.success > 0), None)
    worse = next(((arm, gain) for arm, gain in decided if gain.success < 0), None)
    if better and worse:
        tone, headline = "undecided", f"It learned {_how(better[0])}, but got worse {_how(worse[0])}."
    elif better:
        tone, headline = "better", f"It learned: {_how(better[0])}, held-out success {_moved(summary, better[0])}."
    elif worse:
        tone, headline = "worse", f"It got worse: {_how(worse[0])}, held-out success {_moved(summary, worse[0])}."
    elif told:
        tone, headline = "undecided", "No change in held-out success that can be told from chance."
    else:
        tone, headline = "undecided", "Nothing to compare: the same levels were not played before and after."
    sentences = [_change(summary, arm, gain) for arm, gain in told]
    sentences += _experience(summary) + _by_task(summary)
    return Verdict(headline, tone, tuple(sentences))


def experiences(effects: Iterable[EffectRow], most: int = 3) -> tuple[str, ...]:
    """Which experiences help and which do harm, on which task: the surest `most` of each. Texts are as they were written."""
    rows = list(effects)
    helpful = sorted((row for row in rows if row.low > 0), key=lambda row: (-row.low, row.id))[:most]
    harmful = sorted((row for row in rows if row.high < 0), key=lambda row: (row.high, row.id))[:most]
    if not (helpful or harmful):
        return ("No single experience has an effect that can be told from chance.",)
    return tuple(map(_effect, (*helpful, *harmful)))


def _effect(row: EffectRow) -> str:
    size = f"{'adds' if row.mean > 0 else 'costs'} {points(abs(row.mean)).lstrip('+')} points"
    return f'{row.task}: "{row.text}" {size} ({points(row.low)} to {points(row.high)}, in {row.groups} groups).'


def training(rounds: RoundsTable) -> tuple[str, ...]:
    """How the training rounds went: first against last fifth, described and not tested."""
    said = []
    free, guided = rounds.get("rollout/success_free"), rounds.get("rollout/success_guided")
    if free is not None and guided is not None and (ends := _ends(guided - free)):
        said.append(
            f"In training, guided episodes succeeded {points(ends[0])} points more often than free ones "
            f"in the first fifth of the rounds and {points(ends[1])} in the last."
        )
    valid = rounds.get("distil/valid_share")
    if valid is not None and (ends := _ends(valid)):
        said.append(
            f"Of the extractor's replies, {percent(ends[0])} were valid in the first fifth "
            f"and {percent(ends[1])} in the last."
        )
    return tuple(said)


def _ends(series: np.ndarray) -> tuple[float, float] | None:
    known = series[~np.isnan(series)]
    if len(known) < 2:
        return None
    fifth = max(1, len(known) // 5)
    return float(known[:fifth].mean()), float(known[-fifth:].mean())


def _how(arm: str) -> str:
    return "with experience" if arm == "guided" else "without experience"


def _moved(summary: EvaluationSummary, arm: str) -> str:
    before, after = summary.cell("before", arm), summary.cell("after", arm)
    verb = "rose" if after.success > before.success else "fell"
    return f"{verb} from {percent(before.success)} to {percent(after.success)}"


def _interval(summary: EvaluationSummary, estimate: Estimate) -> str:
    low, high = points(estimate.success_low), points(estimate.success_high)
    return f"{percent(summary.confidence)} interval {low} to {high}"


def _change(summary: EvaluationSummary, arm: str, gain: Estimate) -> str:
    before, after = summary.cell("before", arm), summary.cell("after", arm)
    text = (
        f"{_how(arm).capitalize()}: {percent(before.success)} before, {percent(after.success)} after; "
        f"change {points(gain.success)} points ({_interval(summary, gain)})."
    )
    return text if gain.excludes_zero else f"{text} {CHANCE}"


def _experience(summary: EvaluationSummary) -> list[str]:
    effect = summary.difference("guided_minus_free", "after")
    if not effect:
        return []
    size = f"{'adds' if effect.success >= 0 else 'costs'} {points(abs(effect.success)).lstrip('+')} points"
    text = f"After training, experience {size} on the same levels ({_interval(summary, effect)})."
    text = text if effect.excludes_zero else f"{text} {CHANCE}"
    fewer = "fewer" if effect.actions < 0 else "more"
    sure = effect.actions_low > 0 or effect.actions_high < 0
    actions = f"Shown experience, an episode takes {abs(effect.actions):.1f} {fewer} actions" + (
        "." if sure else ", which may be chance."
    )
    return [text, actions]


def _by_task(summary: EvaluationSummary) -> list[str]:
    gains = {task: summary.difference("after_minus_before", "guided", task) for task in summary.tasks if task != ALL}
    rows = [(task, gain) for task, gain in gains.items() if gain]
    if len(rows) < 2:
        return []
    groups = (
        ("better", [task for task, gain in rows if gain.excludes_zero and gain.success > 0]),
        ("worse", [task for task, gain in rows if gain.excludes_zero and gain.success < 0]),
        ("undecided", [task for task, gain in rows if not gain.excludes_zero]),
    )
    parts = [f"{label}: {', '.join(tasks)}" for label, tasks in groups if tasks]
    return [f"By task, with experience: {'; '.join(parts)} (intervals not corrected for looking at {len(rows)} tasks)."]
