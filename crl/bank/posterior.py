"""What is believed of every entry's effect: partial pooling over texts that say nearly the same and over the scope.

    d_i ~ N(theta_e, v_i)   theta_e ~ N(gamma_c, tau_e^2)   gamma_c ~ N(mu_s, tau_c^2)   mu_s ~ N(0, MEAN_SD^2)

d_i is guided minus free success of entry e in one group, c its cluster (`crl.bank.clusters`), s its scope. tau_e and tau_c
are integrated over a grid instead of being fixed at their likeliest values: where data are few, the interval is wider, as it
should be. Their priors are Rayleigh's, which keep away from 0 (Chung et al. 2013): at 0 all entries would be one.

Noise. v_i is the binomial variance of both halves, at the rates of the scope around that round and never at the group's own,
which would weigh a lucky group more than an unlucky one. One factor per scope, at least 1, takes up what that misses
(McCullagh and Nelder 1989, ch. 4.5): that an effect depends on the situation.

Forgetting. The actor changes, and with it what a text is worth: evidence of age a rounds weighs 0.5^(a / half_life), as in a
discount model (West and Harrison 1997, ch. 6.3). How much effects differ (tau, noise) is estimated from all evidence. The
interval of an effect that stood still is then wider than it need be, that of one that changes fast too narrow.

Adaptive choice. Who is shown depends on what was seen before. Given the past, a difference has the same distribution whoever
chose, so the likelihood is that of a plan made in advance (Berger and Wolpert 1988): a mean of an entry's own differences
is biased by the choice, the posterior is not. tests/bank/test_posterior.py measures both.

Shared control. The free half of a group is the control of all entries that its guided half was shown. An entry's own
differences come from different groups and are independent; those of entries that met in a group go together (by a fifth,
with one guided and four free episodes), which the means of clusters and scopes do not follow. The test's groups are so, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np

from crl.bank.effect import CONFIDENCE, Belief, EntryEffect, Use
from crl.bank.evidence import Evidence, Tree, evidence_of
from crl.types import Experience

Pooling = Literal["cluster", "scope", "none"]

MEAN_SD = 0.2  # of a scope's mean effect: advice that is worth more than 40 points on average would surprise
SPREAD = 0.25  # mode of the priors of tau_e and tau_c; tau_e itself where nothing is pooled
GRID = (0.02, 0.05, 0.08, 0.12, 0.17, 0.24, 0.34, 0.5)  # of tau_e and tau_c
LEAST_SHARE = 1e-4  # of the posterior of a grid point; less is left out


class Subject(NamedTuple):
    """An entry as the estimate sees it."""

    id: str
    scope: str
    cluster: int
    parents: tuple[str, ...] = ()  # what it was merged from

    @classmethod
    def of(cls, entry: Experience, cluster: int) -> "Subject":
        """By the entry's first origin."""
        return cls(entry.id, entry.task, cluster, entry.parents if entry.origin.purpose == "merge" else ())


@dataclass(frozen=True, slots=True)
class Pool:
    """What is believed of the effects of one scope: means over the posterior."""

    mean: float  # mu_s
    unseen_sd: float  # of the effect of an entry in a new cluster
    entry_sd: float  # tau_e, among the entries of a cluster
    cluster_sd: float  # tau_c, among clusters
    noise: float  # the factor on the binomial variance


NOTHING_KNOWN = Pool(0.0, float(np.sqrt(MEAN_SD**2 + 2 * SPREAD**2)), SPREAD, SPREAD, 1.0)


@dataclass(frozen=True, slots=True)
class Posterior:
    """Beliefs of the subjects, and priors of all other entries."""

    beliefs: Mapping[str, Belief]
    effects: Mapping[str, EntryEffect]
    pools: Mapping[str, Pool]  # by scope
    clusters: Mapping[tuple[str, int], Belief]  # of an unmeasured entry in this cluster

    def prior(self, subject: Subject) -> Belief:
        """Of an entry that nobody has used: what its parents say, else its cluster, else its scope."""
        pool = self.pools.get(subject.scope, NOTHING_KNOWN)
        if parents := [self.beliefs[parent] for parent in subject.parents if parent in self.beliefs]:
            mean, variance = _inherited(parents, pool)
            return Belief(mean, variance**0.5)
        return self.clusters.get((subject.scope, subject.cluster), Belief(pool.mean, pool.unseen_sd))


def estimate(
    subjects: Sequence[Subject],
    uses: Sequence[Use],
    *,
    round: int,
    half_life_rounds: float | None = None,
    pooling: Pooling = "cluster",
) -> Posterior:
    """Beliefs as of a round. The order of the uses does not matter.

    Raises KeyError for a use of an entry that is no subject.
    """
    if not subjects:
        return Posterior({}, {}, {}, {})
    scopes = {scope: at for at, scope in enumerate(sorted({subject.scope for subject in subjects}))}
    labels = [(subject.scope, subject.cluster if pooling == "cluster" else 0) for subject in subjects]
    clusters = {label: at for at, label in enumerate(sorted(set(labels)))}
    tree = Tree(
        np.array([clusters[label] for label in labels], np.int64),
        np.array([scopes[scope] for scope, _ in clusters], np.int64),
        len(scopes),
    )
    row_of = {subject.id: row for row, subject in enumerate(subjects)}
    uses = sorted(uses, key=lambda use: (use.entry_id, use.round, use.group))
    rows = np.array([row_of[use.entry_id] for use in uses], np.int64)
    evidence = evidence_of(uses, rows, tree, round, half_life_rounds)
    ever = evidence if half_life_rounds is None else evidence_of(uses, rows, tree, round, None)
    own, unmeasured, pools = _pooled(evidence, ever, tree, pooling)
    named = {scope: Pool(*map(float, values)) for scope, values in zip(scopes, pools, strict=True)}
    beliefs = _with_parents(subjects, own, evidence, named)
    groups = np.bincount(rows, minlength=len(subjects))
    episodes = np.bincount(rows, [use.n_guided for use in uses], len(subjects))
    return Posterior(
        beliefs,
        {
            subject.id: _effect(beliefs[subject.id], int(groups[row]), int(episodes[row]))
            for row, subject in enumerate(subjects)
            if groups[row]
        },
        named,
        {label: Belief(*map(float, unmeasured[at])) for label, at in clusters.items()} if pooling == "cluster" else {},
    )


def _effect(belief: Belief, groups: int, episodes: int) -> EntryEffect:
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * belief.sd
    low, high = max(-1.0, belief.mean - half), min(1.0, belief.mean + half)
    return EntryEffect(belief.mean, low, high, belief.sd, groups, episodes)


def with_earlier(belief: Belief, earlier: Belief) -> Belief:
    """A belief, once what an earlier run believed of the same text counts as one more measurement of it.

    That run had another actor and perhaps another world, so its belief is as doubtful as it was, and by SPREAD more: it
    never outweighs a handful of groups of this run.
    """
    doubt = earlier.sd**2 + SPREAD**2
    left = doubt / (doubt + belief.sd**2)
    return Belief(left * belief.mean + (1 - left) * earlier.mean, belief.sd * left**0.5)


# -- what pooling adds ------------------------------------------------------------------------------------


_LOG_PRIOR = (
    np.log(GRID) - np.square(GRID) / (2 * SPREAD**2) + np.log(np.gradient(GRID))
)  # of each value's neighbourhood


class _Point(NamedTuple):
    """The posterior given tau_e and tau_c, up to a factor: S scopes, C clusters."""

    entry_sd: float
    cluster_sd: float
    log_share: np.ndarray  # [S], of the marginal likelihood and the prior
    scope_mean: np.ndarray  # [S]
    scope_variance: np.ndarray  # [S]
    cluster_mean: np.ndarray  # [C]
    cluster_variance: np.ndarray  # [C]


def _pooled(now: Evidence, ever: Evidence, tree: Tree, pooling: Pooling) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean, sd) of each entry [N, 2] and of an unmeasured one of each cluster [C, 2]; the fields of `Pool` [S, 5].

    Evidence of all times says how much entries differ, evidence that is still fresh what they are worth.
    """
    points = list(_points(now, tree, pooling))
    logs = np.array([point.log_share for point in (points if ever is now else _points(ever, tree, pooling))])
    shares = np.exp(logs - logs.max(axis=0))
    shares = np.where(shares < LEAST_SHARE * shares.sum(axis=0), 0.0, shares)
    shares /= shares.sum(axis=0)
    own, unmeasured, unseen = (np.zeros((2, size)) for size in (len(tree.cluster), len(tree.scope), tree.scopes))
    for point, share in zip(points, shares, strict=True):
        if share.any():
            by_cluster, spread = share[tree.scope], point.entry_sd**2
            left = 1 / (1 + now.precision * spread)  # of the cluster's mean in the entry's
            mean = (1 - left) * now.mean + left * point.cluster_mean[tree.cluster]
            variance = spread * left + left**2 * point.cluster_variance[tree.cluster]
            _add(own, by_cluster[tree.cluster], mean, variance)
            _add(unmeasured, by_cluster, point.cluster_mean, point.cluster_variance + spread)
            _add(unseen, share, point.scope_mean, point.scope_variance + spread + point.cluster_sd**2)
    sds = np.array([(point.entry_sd, point.cluster_sd) for point in points])
    pools = np.column_stack([_mean_sd(unseen), shares.T @ sds, now.noise])
    return _mean_sd(own), _mean_sd(unmeasured), pools


def _add(moments: np.ndarray, share: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> None:
    """One component of a mixture into its first two moments [2, ...]."""
    moments[0] += share * mean
    moments[1] += share * (variance + mean**2)


def _mean_sd(moments: np.ndarray) -> np.ndarray:
    """[..., 2]"""
    return np.column_stack([moments[0], np.sqrt(moments[1] - moments[0] ** 2)])


def _points(evidence: Evidence, tree: Tree, pooling: Pooling) -> Iterator[_Point]:
    """The grid, from the entries up: each level given what is below it, with all that is above integrated out."""
    within = tuple(zip(GRID, _LOG_PRIOR, strict=True))
    entry_sds, cluster_sds = {
        "cluster": (within, within), "scope": (within, ((0.0, 0.0),)), "none": (((SPREAD, 0.0),), ((0.0, 0.0),))
    }[pooling]  # fmt: skip
    prior_precision = (MEAN_SD if pooling != "none" else 1e-6) ** -2
    measured = evidence.precision > 0
    for entry_sd, entry_prior in entry_sds:
        entries = evidence.precision / (1 + evidence.precision * entry_sd**2)  # precision of an entry about its cluster
        below = tree.over_clusters(entries)
        weighted = tree.over_clusters(entries * evidence.mean)
        centre = weighted / np.where(below > 0, below, 1)
        fit = tree.over_clusters(
            np.log(np.where(measured, entries, 1)) - entries * (evidence.mean - centre[tree.cluster]) ** 2
        ) - np.log(np.where(below > 0, below, 1))
        for cluster_sd, cluster_prior in cluster_sds:
            clusters = below / (1 + below * cluster_sd**2)  # precision of a cluster's mean about its scope
            precision = tree.over_scopes(clusters) + prior_precision
            scope_mean = tree.over_scopes(clusters * centre) / precision
            misfit = tree.over_scopes(
                np.log(np.where(below > 0, clusters, 1)) - clusters * (centre - scope_mean[tree.scope]) ** 2
            )
            misfit -= np.log(precision) + prior_precision * scope_mean**2
            left = 1 / (1 + below * cluster_sd**2)  # of the scope's mean in the cluster's
            yield _Point(
                entry_sd,
                cluster_sd,
                0.5 * (tree.over_scopes(fit) + misfit) + entry_prior + cluster_prior,
                scope_mean,
                1 / precision,
                (1 - left) * centre + left * scope_mean[tree.scope],
                cluster_sd**2 * left + left**2 / precision[tree.scope],
            )


# -- what entries inherit ---------------------------------------------------------------------------------


def _inherited(parents: Sequence[Belief], pool: Pool) -> tuple[float, float]:
    """Mean and variance of what was made from others: like one of them, whichever, give or take tau_e."""
    means, sds = np.array(parents).T
    return float(means.mean()), float((sds**2).mean() + means.var() + pool.entry_sd**2)


def _with_parents(
    subjects: Sequence[Subject], own: np.ndarray, evidence: Evidence, pools: Mapping[str, Pool]
) -> dict[str, Belief]:
    """Beliefs by id. What measured parents say replaces what the cluster says; they count as they are by themselves."""
    beliefs = {subject.id: Belief(*values) for subject, values in zip(subjects, own.tolist(), strict=True)}
    merged = {}
    for row, subject in enumerate(subjects):
        if parents := [beliefs[parent] for parent in subject.parents if parent in beliefs]:
            prior, variance = _inherited(parents, pools[subject.scope])
            left = 1 / (1 + float(evidence.precision[row]) * variance)
            mean = (1 - left) * float(evidence.mean[row]) + left * prior
            merged[subject.id] = Belief(mean, (variance * left) ** 0.5)
    return beliefs | merged
