"""One state of the embedded index's table: published whole, never changed, so that readers need no lock."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from crl.bank.coarse import encoded
from crl.types import Experience

LEAST_CAPACITY = 64  # rows


@dataclass(frozen=True, slots=True)
class View:
    """Arrays and `entries` may grow behind `rows`; before it nothing changes."""

    vectors: np.ndarray  # float32 [capacity, D]
    values: np.ndarray  # int8 [capacity, D], their codes; [capacity, 0] in an index without codes
    scales: np.ndarray  # float32 [capacity], of the codes
    losses: np.ndarray  # float32 [rows], of the codes; minus infinity for deleted rows
    entries: list[Experience]  # row -> entry, in order of creation
    rows: int
    dead: np.ndarray  # rows deleted so far, int64

    @property
    def alive(self) -> int:
        return self.rows - len(self.dead)

    @property
    def is_coded(self) -> bool:
        return self.values.shape[1] > 0


def empty(dim: int, *, coded: bool) -> View:
    return View(
        vectors=np.empty((LEAST_CAPACITY, dim), np.float32),
        values=np.empty((LEAST_CAPACITY, dim if coded else 0), np.int8),
        scales=np.empty(LEAST_CAPACITY, np.float32),
        losses=np.empty(0, np.float32),
        entries=[],
        rows=0,
        dead=np.empty(0, np.int64),
    )


def extended(view: View, entries: Sequence[Experience], vectors: Sequence[np.ndarray] | np.ndarray) -> View:
    """The view with rows [N, D] behind its own."""
    rows = view.rows + len(entries)
    if rows > len(view.vectors):
        view = _roomier(view, rows)
    for row, vector in enumerate(vectors, start=view.rows):
        view.vectors[row] = vector
    losses = np.zeros(len(entries), np.float32)
    if view.is_coded and len(entries):
        new = slice(view.rows, rows)
        view.values[new], view.scales[new], losses = encoded(view.vectors[new])
    view.entries.extend(entries)
    return replace(view, rows=rows, losses=np.concatenate([view.losses, losses]))


def without(view: View, rows: Sequence[int]) -> View:
    """The view with some of its rows deleted: they stay where they are, and nobody finds them."""
    gone, losses = np.array(rows, np.int64), view.losses.copy()
    losses[gone] = -np.inf
    return replace(view, losses=losses, dead=np.concatenate([view.dead, gone]))


def compacted(view: View) -> View:
    """A copy of the live rows, in the same order."""
    alive = live_rows(view)

    def kept(old: np.ndarray) -> np.ndarray:
        new = np.empty((_capacity(len(alive)), *old.shape[1:]), old.dtype)
        new[: len(alive)] = old[alive]
        return new

    return View(
        vectors=kept(view.vectors),
        values=kept(view.values),
        scales=kept(view.scales),
        losses=view.losses[alive],
        entries=[view.entries[row] for row in alive],
        rows=len(alive),
        dead=np.empty(0, np.int64),
    )


def live_rows(view: View) -> np.ndarray:
    """In order of creation."""
    return np.delete(np.arange(view.rows), view.dead)


def _roomier(view: View, rows: int) -> View:
    """The same view with room for so many rows."""

    def moved(old: np.ndarray) -> np.ndarray:
        new = np.empty((_capacity(rows), *old.shape[1:]), old.dtype)
        new[: view.rows] = old[: view.rows]
        return new

    return replace(view, vectors=moved(view.vectors), values=moved(view.values), scales=moved(view.scales))


def _capacity(rows: int) -> int:
    return max(LEAST_CAPACITY, 1 << (rows - 1).bit_length()) if rows else LEAST_CAPACITY
