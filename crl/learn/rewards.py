"""Rewards of the extractor by name (`extractor.reward`): what an episode earned for a text that it used (method 2.2).

A function of `__all__` is known by its name; `module:function` names one of any other package. `asked` tells how the
text was used: as the answer to a question of the episode's, or as an experience that was retrieved for it
(`episode.guidance`). A function that takes `evidence` as well is told what is known beyond the episode. None is no score.
"""

import inspect
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from crl.types import Episode, EpisodeKey, GateDecision

__all__ = ["difference", "effect", "outcome", "probe", "reference_table"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a text beyond the episode that used it; None where it is not known."""

    free_rate: float | None  # success of the free half of the episode's group, in [0, 1]
    effect: float | None  # what the bank believes of a retrieved entry: guided minus free success, its posterior mean
    memorised: float | None = (
        None  # of a retrieved entry: what it was worth more where it was written, mean of its probes
    )


class Reward(Protocol):
    """With or without the keyword `evidence`."""

    def __call__(self, episode: Episode, *, asked: bool, evidence: Evidence) -> float | None: ...


def takes_evidence(reward: Callable[..., float | None]) -> bool:
    """Whether a function has the keyword. `crl.config` has refused those that can be called in neither way."""
    try:
        inspect.signature(reward).bind(None, asked=False, evidence=None)
    except TypeError:
        return False
    return True


def episode_credits(
    episode: Episode,
    reward: Callable[..., float | None],
    *,
    wrote: Callable[[str], Iterable[str]],
    known: Callable[[str | None], Evidence],
) -> dict[str, float]:
    """Scores by completion, of those that wrote its retrieved entries and of those that answered it.

    A completion that wrote several of the retrieved entries is credited once per episode, with their mean; its own reward is
    the mean of all its scores (decision 4).

    Args:
        wrote: the completions that wrote an entry, by its id
        known: the evidence on an entry, by its id, or on an answer (None)
    """
    answers = [ask.completion.id for ask in episode.asks if ask.completion is not None]
    uses = [(entry_id, tuple(wrote(entry_id))) for entry_id in (episode.guidance.entry_ids if episode.guidance else ())]
    uses += [(None, tuple(answers))] if answers else []
    told = takes_evidence(reward)
    scores: dict[str, list[float]] = defaultdict(list)
    for entry_id, completion_ids in uses:
        evidence = {"evidence": known(entry_id)} if told else {}
        score = reward(episode, asked=entry_id is None, **evidence)
        for completion_id in completion_ids if score is not None else ():
            scores[completion_id].append(score)
    return {completion_id: statistics.fmean(values) for completion_id, values in scores.items()}


def free_rates(episodes: Iterable[Episode]) -> dict[tuple[int, int], float]:
    """Success of the free half by (round, group); groups that have none left are absent."""
    free: dict[tuple[int, int], list[bool]] = defaultdict(list)
    for episode in episodes:
        if not episode.guided:
            free[group_of(episode.key)].append(episode.success)
    return {group: statistics.fmean(won) for group, won in free.items()}


def group_of(key: EpisodeKey) -> tuple[int, int]:
    return key.round, key.group


def outcome(episode: Episode, *, asked: bool) -> float | None:
    """The paper's binary reward: 1 if an episode that was shown the text succeeded, else 0.

    None where nothing was shown: the outcome says nothing about the text. An answer is always shown.
    """
    return float(episode.success) if _shown(episode, asked) else None


def difference(episode: Episode, *, asked: bool, evidence: Evidence) -> float | None:
    """The outcome less the success of the group's free half, in [-1, 1]: a text earns nothing for an easy level.

    The paper tried it and found it worse than the outcome: the free half's few episodes add their own chance to every score.
    """
    known = _shown(episode, asked) and evidence.free_rate is not None
    return episode.success - evidence.free_rate if known else None


def effect(episode: Episode, *, asked: bool, evidence: Evidence) -> float | None:
    """What the bank believes of the entry from all its uses, in [-1, 1], in place of this episode's outcome.

    Less noise than a group of its own has, and what was shown long ago still counts. Answers have no such record: None.
    """
    return evidence.effect if _shown(episode, asked) else None


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


def probe(episode: Episode, *, asked: bool, evidence: Evidence) -> float | None:
    """The outcome less what the text has memorised of the instance that it was written on, by its probes; in [-2, 3].

    Not cut off at 0: a probe of a few episodes errs either way, and half of its errors would only ever punish.
    """
    return episode.success - (evidence.memorised or 0.0) if _shown(episode, asked) else None


def _shown(episode: Episode, asked: bool) -> bool:
    """An answer is always shown, of what was retrieved what passed the gate."""
    return asked or episode.guidance.shown is not None


def _zero_to_minus_one(value: float) -> float:
    """Only an exact 0: graded returns pass through."""
    return -1.0 if value == 0 else value
