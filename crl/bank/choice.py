"""Which of the candidates of a retrieval are returned, with the probability that each had.

newest    the paper's: similarity rank, less what was shown often or just now (`rerank`)
thompson  as often as it is the best in a joint draw from the beliefs (Thompson 1933), so that doubt is explored
ucb       the best by one standard deviation above the mean of its belief

What a candidate is worth is its effect on success plus `similarity_weight` times its similarity. An exploring share is drawn
uniformly and never ends: effects change with the actor, and nothing else would show it. Where nothing is to be learned
(evaluation, serving), `exploit` takes the best by the mean.
"""

import math
from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np

from crl.bank.effect import Belief
from crl.seeding import stream

DRAWS = 256  # joint draws behind the probabilities of Thompson's rule; the same ones for every retrieval
UCB_SDS = 1.0


class Chosen(NamedTuple):
    rank: int  # among the candidates
    probability: float  # with which the rule takes it at this place, given those before it


def worth(means: np.ndarray, similarities: np.ndarray, similarity_weight: float) -> np.ndarray:
    return means + similarity_weight * similarities


def probabilities(
    rule: str,
    beliefs: Sequence[Belief],
    similarities: Sequence[float],
    *,
    similarity_weight: float,
    explore: float,
) -> np.ndarray:
    """Of taking each of N candidates first [N], most similar first."""
    (means, sds), near = np.array(beliefs, np.float64).T, np.array(similarities, np.float64)
    if rule == "thompson":
        values = worth(means + sds * _normals(len(means)), near, similarity_weight)
        best = np.bincount(values.argmax(axis=1), minlength=len(means)) / DRAWS
    else:
        best = np.zeros(len(means))
        best[worth(means + UCB_SDS * sds, near, similarity_weight).argmax()] = 1.0
    return (1 - explore) * best + explore / len(means)


@cache
def _normals(count: int) -> np.ndarray:
    """[DRAWS, count]"""
    return stream("thompson", count).standard_normal((DRAWS, count))


# Members of a group ask for the same situation, and beliefs change once a round.
_remembered = lru_cache(4096)(probabilities)


def drawn(
    rule: str,
    beliefs: Sequence[Belief],
    similarities: Sequence[float],
    *,
    similarity_weight: float,
    explore: float,
    k: int,
    uniform: Callable[[int], float],
) -> list[Chosen]:
    """k candidates without replacement, best first; `uniform(place)` in [0, 1) decides each place."""
    left, chosen = list(range(len(beliefs))), []
    while left and len(chosen) < k:
        shares = _remembered(
            rule,
            tuple(beliefs[rank] for rank in left),
            tuple(similarities[rank] for rank in left),
            similarity_weight=similarity_weight,
            explore=explore,
        )
        at = min(int(np.searchsorted(shares.cumsum(), uniform(len(chosen)), side="right")), len(left) - 1)
        chosen.append(Chosen(left.pop(at), float(shares[at])))
    return chosen


def exploit(
    beliefs: Sequence[Belief], similarities: Sequence[float], *, similarity_weight: float, k: int
) -> list[Chosen]:
    """The k best by the mean of their beliefs, and among equals the more similar."""
    values = worth(np.array([belief.mean for belief in beliefs]), np.array(similarities), similarity_weight)
    return [Chosen(int(rank), 1.0) for rank in np.argsort(-values, kind="stable")[:k]]


def rerank(
    usages: Iterable[tuple[int, bool]],
    *,
    usage_penalty: float,
    demote_recent: float,
    uniform: Callable[[], float],
    k: int,
) -> list[Chosen]:
    """The k best by s = -q - usage_penalty * ln(1 + shown[q]) - recent[q], of similarity ranks q = 0, 1, ...

    `usages` are (shown, recent) of the entries, most similar first; no more are read than can matter. Ties keep the
    better rank. A first place that is recent goes last with the probability `demote_recent`.
    """
    best: list[tuple[float, int, bool]] = []  # (-s, q, recent), ascending
    for q, (shown, recent) in enumerate(usages):
        if len(best) > k and q >= best[k][0]:
            break  # -s is at least q from here on; beside the k best, one more counts where the first is demoted
        insort(best, (q + usage_penalty * math.log1p(shown) + recent, q, recent))
    probability = 1.0
    if len(best) > 1 and best[0][2]:
        demoted = uniform() < demote_recent
        probability = demote_recent if demoted else 1 - demote_recent
        if demoted:
            best = best[1 : k + 1] + best[:1]
    return [Chosen(q, probability) for _, q, _ in best[:k]]
