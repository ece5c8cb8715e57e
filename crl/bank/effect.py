"""The measured effect of an entry: how much more often episodes succeed when they retrieve it.

Free and guided members of a group play the same level with the same weights, and who is guided is fixed
by position: the free half is a randomised control. Whether the gate accepted the entry comes after
retrieval and is therefore part of the treatment; leaving out rejections would bias the estimate.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crl.types import Episode

PRIOR_EPISODES = 8  # weight of "no effect" in `shrunk`: one group's worth of episodes


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


@dataclass(frozen=True, slots=True)
class EntryEffect:
    """Guided minus free success, with a confidence interval; `low` and `high` are None for a single group."""

    mean: float
    low: float | None
    high: float | None
    groups: int
    episodes: int  # guided ones

    @property
    def shrunk(self) -> float:
        """The mean pulled towards 0 by little data: what entries are ranked by."""
        return self.mean * self.episodes / (self.episodes + PRIOR_EPISODES)


def shrunk_effect(effects: Mapping[str, EntryEffect], entry_id: str) -> float:
    """What entries are ranked by; unmeasured ones count as without effect."""
    effect = effects.get(entry_id)
    return 0.0 if effect is None else effect.shrunk


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


def estimate(uses: Sequence[Use], confidence: float = 0.95) -> EntryEffect | None:
    """Mean difference over groups, weighted by guided episodes, with a cluster-robust t interval.

    Groups are the clusters. The variance is the leverage-corrected sandwich (CR2 of Bell and McCaffrey
    2002, for a weighted mean), the degrees of freedom are Kish's effective number of groups less one.
    """
    if not uses:
        return None
    total = sum(use.n_guided for use in uses)
    shares = [use.n_guided / total for use in uses]
    mean = sum(share * use.difference for share, use in zip(shares, uses, strict=True))
    if len(uses) == 1:
        return EntryEffect(mean, None, None, 1, total)
    variance = sum(
        share**2 * (use.difference - mean) ** 2 / (1 - share) for share, use in zip(shares, uses, strict=True)
    )
    # Groups that all agree are few, not certain: their spread says nothing, the binomial one still does.
    variance = variance if variance > 1e-12 else _binomial_variance(uses, shares)
    freedom = 1 / sum(share**2 for share in shares) - 1
    from scipy.special import stdtrit  # half a second to import, which `crl --help` does not need

    half = float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(variance)
    return EntryEffect(mean, max(-1.0, mean - half), min(1.0, mean + half), len(uses), total)


def _binomial_variance(uses: Sequence[Use], shares: Sequence[float]) -> float:
    """Variance of the weighted mean if every arm had one rate, smoothed by one success and one failure."""
    guided = (sum(use.s_guided for use in uses) + 1) / (sum(use.n_guided for use in uses) + 2)
    free = (sum(use.s_free for use in uses) + 1) / (sum(use.n_free for use in uses) + 2)
    return sum(
        share**2 * (guided * (1 - guided) / use.n_guided + free * (1 - free) / use.n_free)
        for share, use in zip(shares, uses, strict=True)
    )
