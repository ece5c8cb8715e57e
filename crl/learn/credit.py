"""What an experience earned for the extractor completion that wrote it (method 2.2, decision 4)."""

from dataclasses import dataclass
from typing import Protocol

from crl.types import Episode


class Reward(Protocol):
    """See `crl.learn.rewards`."""

    def __call__(self, episode: Episode, *, asked: bool) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Credit:
    """One score for one completion; a completion's reward is the mean of its scores."""

    completion_id: str
    score: float


def episode_credits(episode: Episode, reward: Reward) -> tuple[Credit, ...]:
    """All scores that an episode gives: to the writers of its retrieved entries, and to its ask completions.

    A completion that wrote several of the retrieved entries is credited once per episode.
    """
    scores: dict[str, float | None] = {}
    if episode.guidance is not None:
        scores |= dict.fromkeys(episode.guidance.origin_ids, reward(episode, asked=False))
    answers = [ask.completion.id for ask in episode.asks if ask.completion is not None]
    if answers:
        scores |= dict.fromkeys(answers, reward(episode, asked=True))
    return tuple(Credit(completion_id, score) for completion_id, score in scores.items() if score is not None)
