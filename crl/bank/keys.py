"""What an entry is found by: the mean direction of the situations that it was written for.

Sums are taken in float64, own text by own text in the order of writing, then over those that joined in the order of their
joins. So a key is the same to the last bit whether its entry grew in this process or was read from the ledger.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

CACHED = 4096  # texts; at 384 dimensions 12 MiB


class Keys:
    """The sums of the keys of the texts that were written last; a cache of the ledger."""

    def __init__(self, read: Callable[[str], Iterable[np.ndarray]]) -> None:
        """`read` gives the unit vectors [D] of the situations of a text, oldest first; none for an unknown one."""
        self._read = read
        self._sums: dict[str, np.ndarray] = {}  # by the text's own entry, float64 [D]

    def own(self, entry_id: str) -> np.ndarray:
        """Float64 [D], or 0.0 for a text that was never written."""
        if (known := self._sums.get(entry_id)) is not None:
            return known
        return sum((vector.astype(np.float64) for vector in self._read(entry_id)), np.float64(0))

    def remember(self, sums: Mapping[str, np.ndarray]) -> None:
        """What the ledger holds from now on."""
        for id_, total in sums.items():
            self._sums.pop(id_, None)
            self._sums[id_] = total
        while len(self._sums) > CACHED:
            del self._sums[next(iter(self._sums))]

    def forget_all(self) -> None:
        """The ledger was rolled back."""
        self._sums.clear()


def direction(sums: Sequence[np.ndarray], otherwise: np.ndarray) -> np.ndarray:
    """The unit vector [D], float32, of the sum; opposite situations have no mean direction: `otherwise`."""
    total = sum(sums)
    norm = np.linalg.norm(total)
    return (total / norm).astype(np.float32) if norm > 1e-6 else otherwise
