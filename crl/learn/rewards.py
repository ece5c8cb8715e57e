"""Rewards of the extractor by name (`extractor.reward`): what an episode earned for a text that it used (method 2.2).

A function of `__all__` is known by its name; `module:function` names one of any other package. `asked` tells how the
text was used: as the answer to a question of the episode's, or as an experience that was retrieved for it
(`episode.guidance`). None is no score.
"""

from crl.types import Episode, GateDecision

__all__ = ["outcome", "reference_table"]


def outcome(episode: Episode, *, asked: bool) -> float | None:
    """The paper's binary reward: 1 if an episode that was shown the text succeeded, else 0.

    None where nothing was shown: the outcome says nothing about the text. An answer is always shown.
    """
    shown = asked or episode.guidance.shown is not None
    return float(episode.success) if shown else None


def reference_table(episode: Episode, *, asked: bool) -> float | None:
    """The public reference code's: gate adjustment, then 0 becomes -1. An answer earns the episode's reward."""
    decision = GateDecision.OFF if asked else episode.guidance.decision
    match decision:
        case GateDecision.OFF | GateDecision.UNPARSABLE:
            return _zero_to_minus_one(episode.reward)
        case GateDecision.ACCEPT:
            return _zero_to_minus_one(episode.reward + 1.0)
        case GateDecision.REFINE:
            return 0.5
        case GateDecision.REJECT:
            return -1.0
        case GateDecision.EMPTY:
            return None


def _zero_to_minus_one(value: float) -> float:
    """Only an exact 0: graded returns pass through."""
    return -1.0 if value == 0 else value
