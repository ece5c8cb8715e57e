"""How alike texts are: products of the unit vectors that a model embeds them as."""

from collections.abc import Callable, Sequence

import numpy as np

Embed = Callable[[Sequence[str]], np.ndarray]  # unit vectors [N, D] of texts


def similarities(vectors: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of unit vectors [..., D] with another [D], each computed alone: no neighbour and no thread can change a decision."""
    return np.vecdot(vectors, other, dtype=np.float64)
