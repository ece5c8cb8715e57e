"""What an experience earned for the extractor completion that wrote it (method 2.2, decision 4)."""

from dataclasses import dataclass
from typing import Literal

from crl.types import Episode, GateDecision

Rule = Literal["outcome", "reference_table"]


@dataclass(frozen=True, slots=True)
class Credit:
    """One score for one completion; a completion's reward is the mean of its scores."""

    completion_id: str
    score: float


def episode_credits(episode: Episode, rule: Rule) -> tuple[Credit, ...]:
    """All scores that an episode gives: to the writers of its retrieved entries, and to its ask completions.

    A completion that wrote several of the retrieved entries is credited once per episode.
    """
    credits: dict[str, float] = {}
    guidance = episode.guidance
    if guidance is not None:
        if rule == "outcome":
            score = outcome(episode.success, shown=guidance.shown is not None)
        else:
            score = reference_table(guidance.decision, episode.reward)
        if score is not None:
            credits |= dict.fromkeys(guidance.origin_ids, score)
    for ask in episode.asks:
        if ask.completion is not None:
            credits[ask.completion.id] = ask_score(episode, rule)
    return tuple(Credit(completion_id, score) for completion_id, score in credits.items())


def outcome(success: bool, *, shown: bool) -> float | None:
    """The paper's binary reward: 1 if an episode that was shown the text succeeded, else 0.

    None where nothing was shown: the outcome says nothing about the text.
    """
    return float(success) if shown else None


def reference_table(decision: GateDecision, reward: float) -> float | None:
    """The public reference code's score of one retrieved entry: gate adjustment, then 0 becomes -1."""
    match decision:
        case GateDecision.OFF | GateDecision.UNPARSABLE:
            return _zero_to_minus_one(reward)
        case GateDecision.ACCEPT:
            return _zero_to_minus_one(reward + 1.0)
        case GateDecision.REFINE:
            return 0.5
        case GateDecision.REJECT:
            return -1.0
        case GateDecision.EMPTY:
            return None


def ask_score(episode: Episode, rule: Rule) -> float:
    """An answer is always shown, so it earns the episode's outcome."""
    return float(episode.success) if rule == "outcome" else _zero_to_minus_one(episode.reward)


def _zero_to_minus_one(value: float) -> float:
    """Only an exact 0: graded returns pass through."""
    return -1.0 if value == 0 else value
