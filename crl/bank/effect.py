"""The measured effect of an entry: how much more often episodes succeed when they retrieve it.

Free and guided members of a group play the same level with the same weights, and who is guided is fixed
by position: the free half is a randomised control. Whether the gate accepted the entry comes after
retrieval and is therefore part of the treatment; leaving out rejections would bias the estimate.
How effects are estimated from uses stands in `crl.bank.posterior`.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple, Protocol

from crl.types import Episode

CONFIDENCE = 0.95  # of the intervals of effects


@dataclass(frozen=True, slots=True)
class Use:
    """What one group says about one entry."""

    entry_id: str
    round: int
    group: int
    n_guided: int  # episodes whose retrieval returned the entry, shown or not
    s_guided: int  # successes among them
    n_free: int  # all free episodes of the group
    s_free: int

    @property
    def difference(self) -> float:
        return self.s_guided / self.n_guided - self.s_free / self.n_free


class Belief(NamedTuple):
    """What is believed of an entry's effect, measured or not: a normal distribution."""

    mean: float
    sd: float

    @property
    def harm(self) -> float:
        """The probability that the entry does more harm than good."""
        return NormalDist(self.mean, self.sd).cdf(0.0)


@dataclass(frozen=True, slots=True)
class EntryEffect:
    """The effect of an entry that was measured, with its interval (CONFIDENCE), pooled with what is alike."""

    mean: float
    low: float
    high: float
    sd: float
    groups: int
    episodes: int  # guided ones

    @property
    def belief(self) -> Belief:
        return Belief(self.mean, self.sd)

    def __str__(self) -> str:
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


class Beliefs(Protocol):
    """What is known of entries: a bank's memory, or the rows of a snapshot."""

    def effect(self, entry_id: str) -> EntryEffect | None: ...
    def belief(self, entry_id: str) -> Belief: ...


def uses_of(episodes: Iterable[Episode]) -> tuple[Use, ...]:
    """Effect rows of finished episodes; groups that lost their whole control to failures say nothing."""
    free: dict[tuple[int, int], list[bool]] = defaultdict(list)
    guided: dict[tuple[int, int, str], list[bool]] = defaultdict(list)
    for episode in episodes:
        group = (episode.key.round, episode.key.group)
        if not episode.guided:
            free[group].append(episode.success)
        elif episode.guidance is not None:
            for entry_id in episode.guidance.entry_ids:
                guided[*group, entry_id].append(episode.success)
    return tuple(
        Use(entry_id, round_, group, len(won), sum(won), len(control), sum(control))
        for (round_, group, entry_id), won in sorted(guided.items())
        if (control := free[round_, group])
    )
