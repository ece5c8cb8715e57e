"""One state of the table that the index searches, and its rows in int8 with a proven bound of what that loses.

A state (`View`) is published whole and never changed, so that readers need no lock. The codes take a quarter of the bytes
and an eighth of the time. A coarse product never decides anything. It only says which rows cannot be among the best, since
the true score lies within the bound of the coarse one, by the inequality of Cauchy and Schwarz:
|x q - x' q'| <= |x - x'| |q| + |x'| |q - q'|, with x' and q' what the codes of the unit vectors x and q stand for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from crl.bank.records import Keyed
from crl.types import Experience

LEVELS = 127  # of int8, on either side of zero
SLAB = 4096  # rows that are encoded at once, to bound what that takes in memory


class Codes(NamedTuple):
    """Vectors as `values * scales`, and the length of what is missing then."""

    values: np.ndarray  # int8 [N, D]
    scales: np.ndarray  # float32 [N]
    losses: np.ndarray  # float32 [N], rounded up; never above 1 for unit vectors


def is_native() -> bool:
    """Whether this processor multiplies int8 exactly and in few instructions.

    Without VNNI such products saturate at 16 bits, or are slower than float32's.
    """
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_vnni") or capabilities.get("avx_vnni"))


def encoded(vectors: np.ndarray) -> Codes:
    """The codes of float32 vectors [N, D]. Each row has its own scale, so that one does not depend on another."""
    codes = Codes(np.empty(vectors.shape, np.int8), *np.empty((2, len(vectors)), np.float32))
    for start in range(0, len(vectors), SLAB):
        rows = slice(start, start + SLAB)
        codes.values[rows], codes.scales[rows], codes.losses[rows] = _encoded(vectors[rows])
    return codes


def _encoded(vectors: np.ndarray) -> Codes:
    largest = np.abs(vectors).max(axis=1, initial=0.0)
    scales = np.where(largest > 0, largest / np.float32(LEVELS), np.float32(1))
    values = np.rint(vectors / scales[:, None]).clip(-LEVELS, LEVELS)
    missing = (vectors - values * scales[:, None]).astype(np.float64)
    losses = np.sqrt(np.vecdot(missing, missing)) * (1 + 2.0**-20)  # no less after rounding to float32
    return Codes(values.astype(np.int8), scales, losses.astype(np.float32))


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


def extended(view: View, added: Sequence[Keyed]) -> View:
    """The view with rows behind its own."""
    rows, new = view.rows + len(added), slice(view.rows, view.rows + len(added))
    if rows > len(view.vectors):
        view = _moved(view, np.arange(view.rows), rows)
    for row, (_, vector) in enumerate(added, start=view.rows):
        view.vectors[row] = vector
    losses = np.zeros(len(added), np.float32)
    if view.is_coded and added:
        view.values[new], view.scales[new], losses = encoded(view.vectors[new])
    view.entries.extend(entry for entry, _ in added)
    return replace(view, rows=rows, losses=np.concatenate([view.losses, losses]))


def without(view: View, rows: Sequence[int]) -> View:
    """The view with some of its rows deleted: they stay where they are, and nobody finds them."""
    gone, losses = np.array(rows, np.int64), view.losses.copy()
    losses[gone] = -np.inf
    return replace(view, losses=losses, dead=np.concatenate([view.dead, gone]))


def compacted(view: View) -> View:
    """A copy of the live rows, in the same order."""
    alive = np.delete(np.arange(view.rows), view.dead)
    return replace(
        _moved(view, alive, len(alive)),
        losses=view.losses[alive],
        entries=[view.entries[row] for row in alive],
        rows=len(alive),
        dead=np.empty(0, np.int64),
    )


def _moved(view: View, rows: np.ndarray, room: int) -> View:
    """Some rows of the arrays at the head of new ones, which have room for at least so many."""

    def moved(old: np.ndarray) -> np.ndarray:
        capacity = max(LEAST_CAPACITY, 1 << (room - 1).bit_length())
        new = np.empty((capacity, *old.shape[1:]), old.dtype)
        new[: len(rows)] = old[rows]
        return new

    return replace(view, vectors=moved(view.vectors), values=moved(view.values), scales=moved(view.scales))
