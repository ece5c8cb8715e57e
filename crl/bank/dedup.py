"""Which entries say again what a newer one says."""

from collections.abc import Callable, Sequence

import numpy as np


def near_duplicates(
    keys: np.ndarray, texts: Sequence[str], threshold: float, embed: Callable[[Sequence[str]], np.ndarray]
) -> list[tuple[int, int]]:
    """(dropped, kept) rows, given oldest first: `keys` are unit vectors [N, D], `embed` turns texts into such.

    Both the situation and the advice must reach the threshold. Keys alone, as in the public code, would
    leave one entry per starting position, whatever the others advise. Only kept entries drop others, so a
    chain of near neighbours does not vanish behind its newest link.
    """
    close = [row for row in range(len(texts)) if _has_neighbour(keys, row, threshold)]
    advice = dict(zip(close, embed([texts[row] for row in close]), strict=True)) if close else {}
    kept: list[int] = []
    dropped: list[tuple[int, int]] = []
    for row in reversed(close):
        if kept:
            newer_keys = keys[kept] @ keys[row]
            newer_advice = np.stack([advice[other] for other in kept]) @ advice[row]
            similarity = np.minimum(newer_keys, newer_advice)
            if similarity.max() >= threshold - 1e-6:
                dropped.append((row, kept[int(similarity.argmax())]))
                continue
        kept.append(row)
    return dropped


def _has_neighbour(keys: np.ndarray, row: int, threshold: float) -> bool:
    return int((keys @ keys[row] >= threshold - 1e-6).sum()) > 1
