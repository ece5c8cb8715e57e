"""Diversity re-ranking of what similarity found (method.md 4.5, with rounds in place of seconds)."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def rerank(
    candidates: Sequence[T],
    *,
    shown: Callable[[T], int],
    recent: Callable[[T], bool],
    usage_penalty: float,
    demote: bool,
    k: int,
) -> list[T]:
    """The k best by s = -q - usage_penalty * ln(1 + shown) - [recent], q the similarity rank from 0.

    Ties keep the better rank. `demote`, the outcome of a draw: a first place that is recent goes last.
    """
    scored = [
        (-rank - usage_penalty * math.log1p(shown(item)) - recent(item), -rank, item)
        for rank, item in enumerate(candidates)
    ]
    ranked = [item for _, _, item in sorted(scored, key=lambda row: row[:2], reverse=True)]
    if ranked and demote and recent(ranked[0]):
        ranked.append(ranked.pop(0))
    return ranked[:k]
