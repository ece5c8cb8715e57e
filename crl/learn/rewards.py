"""Rewards of the extractor by name (`extractor.reward`): what an episode earned for a text that it used (method 2.2).

A function of `__all__` is known by its name; `module:function` names one of any other package. `asked` tells how the
text was used: as the answer to a question of the episode's, or as an experience that was retrieved for it
(`episode.guidance`). None is no score.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from crl.types import Episode, GateDecision

__all__ = ["outcome", "reference_table"]


class Reward(Protocol):
    def __call__(self, episode: Episode, *, asked: bool) -> float | None: ...


def episode_credits(episode: Episode, reward: Reward, *, wrote: Callable[[str], Iterable[str]]) -> dict[str, float]:
    """Scores by completion, of those that wrote its retrieved entries and of those that answered it.

    `wrote` gives the completions that wrote an entry, by its id. One that wrote several of the retrieved entries is credited
    once per episode; its own reward is the mean of all its scores (decision 4).
    """
    scores: dict[str, float | None] = {}
    if episode.guidance is not None:
        writers = (id_ for entry_id in episode.guidance.entry_ids for id_ in wrote(entry_id))
        scores |= dict.fromkeys(writers, reward(episode, asked=False))
    answers = [ask.completion.id for ask in episode.asks if ask.completion is not None]
    if answers:
        scores |= dict.fromkeys(answers, reward(episode, asked=True))
    return {completion_id: score for completion_id, score in scores.items() if score is not None}


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
        case GateDecision.EMPTY | GateDecision.TOO_LONG:  # nobody judged the text, and nobody saw it
            return None


def _zero_to_minus_one(value: float) -> float:
    """Only an exact 0: graded returns pass through."""
    return -1.0 if value == 0 else value
