"""What an entry's own differences say of its effect, and how certain that is; what is made of it stands in `posterior.py`."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from crl.bank.effect import Use

PRIOR_DIFFERENCES = 20.0  # how many of them the belief in a noise factor of 1 outweighs
RATE_ROUNDS = 5.0  # half-life, in both directions, of the rates that noise is taken at


class Tree(NamedTuple):
    """Which cluster an entry is in, and which scope a cluster."""

    cluster: np.ndarray  # int64 [N]
    scope: np.ndarray  # int64 [C]
    scopes: int

    def over_clusters(self, values: np.ndarray) -> np.ndarray:
        """Sums [C] of values [N]."""
        return np.bincount(self.cluster, values, len(self.scope))

    def over_scopes(self, values: np.ndarray) -> np.ndarray:
        """Sums [S] of values [C]."""
        return np.bincount(self.scope, values, self.scopes)


class Evidence(NamedTuple):
    """What an entry's own differences say: their weighted mean and its precision (0: unmeasured)."""

    mean: np.ndarray  # float64 [N]
    precision: np.ndarray  # float64 [N]
    noise: np.ndarray  # float64 [S]


def evidence_of(
    uses: Sequence[Use], rows: np.ndarray, tree: Tree, now: int, half_life_rounds: float | None
) -> Evidence:
    """Each entry's weighted mean difference; `rows` [U] are the entries of the uses."""
    counts = np.array([(use.round, use.n_guided, use.s_guided, use.n_free, use.s_free) for use in uses], np.float64)
    rounds, n_guided, s_guided, n_free, s_free = counts.reshape(-1, 5).T
    scope_of_entry = tree.scope[tree.cluster]
    scope, entries = scope_of_entry[rows], len(tree.cluster)
    weights = np.ones(len(rows)) if half_life_rounds is None else 0.5 ** ((now - rounds) / half_life_rounds)
    rate_guided = _rates(s_guided, n_guided, rounds, scope, tree.scopes)
    rate_free = _rates(s_free, n_free, rounds, scope, tree.scopes)
    variance = rate_guided * (1 - rate_guided) / n_guided + rate_free * (1 - rate_free) / n_free
    differences, parts = s_guided / n_guided - s_free / n_free, weights / variance
    precision = np.bincount(rows, parts, entries)
    mean = np.bincount(rows, parts * differences, entries) / np.where(precision > 0, precision, 1)
    # Of independent differences with these variances, the expected sum of squares is the freedom.
    squares = np.bincount(scope, parts * (differences - mean[rows]) ** 2, tree.scopes)
    freedom = np.bincount(scope, weights - weights * parts / precision[rows], tree.scopes)
    noise = np.maximum(1.0, (squares + PRIOR_DIFFERENCES) / (freedom + PRIOR_DIFFERENCES))
    return Evidence(mean, precision / noise[scope_of_entry], noise)


def _rates(
    successes: np.ndarray, episodes: np.ndarray, rounds: np.ndarray, scope: np.ndarray, scopes: int
) -> np.ndarray:
    """Success rate [U] of each use's scope around its round, smoothed by one success and one failure."""
    times, at = np.unique(rounds, return_inverse=True)
    nearness = 0.5 ** (np.abs(times[:, None] - times) / RATE_ROUNDS)
    cell, cells = scope * len(times) + at, scopes * len(times)
    won, played = (
        np.bincount(cell, values, cells).reshape(scopes, len(times)) @ nearness for values in (successes, episodes)
    )
    return ((won + 1) / (played + 2))[scope, at]
