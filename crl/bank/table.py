"""One state of the table that the index searches. It is published whole and never changed, so readers need no lock."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from crl.bank.records import Keyed
from crl.types import Experience

LEAST_CAPACITY = 64  # rows


@dataclass(frozen=True, slots=True)
class View:
    """`vectors` and `entries` may grow behind `rows`; before it nothing changes."""

    vectors: np.ndarray  # float32 [capacity, D]
    entries: list[Experience]  # row -> entry, oldest first
    rows: int
    dead: np.ndarray  # rows deleted so far, int64

    @property
    def alive(self) -> int:
        return self.rows - len(self.dead)


def empty(dim: int) -> View:
    return View(np.empty((LEAST_CAPACITY, dim), np.float32), [], 0, np.empty(0, np.int64))


def extended(view: View, added: Sequence[Keyed]) -> View:
    """The view with rows behind its own."""
    rows = view.rows + len(added)
    if rows > len(view.vectors):
        view = replace(view, vectors=_roomy(view.vectors[: view.rows], rows))
    for row, (_, vector) in enumerate(added, start=view.rows):
        view.vectors[row] = vector
    view.entries.extend(entry for entry, _ in added)
    return replace(view, rows=rows)


def without(view: View, rows: Sequence[int]) -> View:
    """The view with some of its rows deleted: they stay where they are, and nobody finds them."""
    return replace(view, dead=np.concatenate([view.dead, np.array(rows, np.int64)]))


def compacted(view: View) -> View:
    """A copy of the live rows, in the same order."""
    alive = np.delete(np.arange(view.rows), view.dead)
    entries = [view.entries[row] for row in alive]
    return View(_roomy(view.vectors[alive], len(alive)), entries, len(alive), np.empty(0, np.int64))


def _roomy(vectors: np.ndarray, rows: int) -> np.ndarray:
    """The vectors at the head of a new array, which has room for at least so many rows."""
    new = np.empty((max(LEAST_CAPACITY, 1 << (rows - 1).bit_length()), vectors.shape[1]), np.float32)
    new[: len(vectors)] = vectors
    return new
