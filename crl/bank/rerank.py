"""Diversity re-ranking of what similarity found (method.md 4.5, with rounds in place of seconds)."""

import math
from collections.abc import Callable, Sequence


def rerank(
    shown: Sequence[int], recent: Sequence[bool], *, usage_penalty: float, demote: Callable[[], bool], k: int
) -> list[int]:
    """The similarity ranks of the k best by s = -q - usage_penalty * ln(1 + shown[q]) - recent[q], q = 0, 1, ...

    Ties keep the better rank. `demote` is drawn, if need be, whether a first place that is recent goes last.
    """
    scores = [-q - usage_penalty * math.log1p(c) - r for q, (c, r) in enumerate(zip(shown, recent, strict=True))]
    ranks = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    if ranks and recent[ranks[0]] and demote():
        ranks.append(ranks.pop(0))
    return ranks[:k]
