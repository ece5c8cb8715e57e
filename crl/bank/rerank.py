"""Diversity re-ranking of what similarity found (method.md 4.5, with rounds in place of seconds)."""

import math
from bisect import insort
from collections.abc import Callable, Iterable


def rerank(
    usages: Iterable[tuple[int, bool]], *, usage_penalty: float, demote: Callable[[], bool], k: int
) -> list[int]:
    """The similarity ranks of the k best by s = -q - usage_penalty * ln(1 + shown[q]) - recent[q], q = 0, 1, ...

    `usages` are (shown, recent) of the entries, most similar first; no more are read than can matter. Ties keep the
    better rank. `demote` is drawn, if need be, whether a first place that is recent goes last.
    """
    best: list[tuple[float, int, bool]] = []  # (-s, q, recent), ascending
    for q, (shown, recent) in enumerate(usages):
        if len(best) > k and q >= best[k][0]:
            break  # -s is at least q from here on; beside the k best, one more counts where the first is demoted
        insort(best, (q + usage_penalty * math.log1p(shown) + recent, q, recent))
    if best and best[0][2] and demote():
        best = best[1 : k + 1] + best[:1]
    return [q for _, q, _ in best[:k]]
