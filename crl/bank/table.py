"""One state of the table that the index searches. It is published whole and never changed, so readers need no lock."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from crl.bank.records import Keyed
from crl.types import Experience

LEAST_CAPACITY = 64  # rows


@dataclass(frozen=True, slots=True)
class View:
    """Vectors and `entries` may grow behind `rows`; before it nothing changes."""

    vectors: np.ndarray  # float32 [capacity, D]
    halves: torch.Tensor  # bfloat16 [capacity, D], the same; [capacity, 0] in an index without them
    entries: list[Experience]  # row -> entry, oldest first
    rows: int
    dead: np.ndarray  # rows deleted so far, int64

    @property
    def alive(self) -> int:
        return self.rows - len(self.dead)

    @property
    def is_halved(self) -> bool:
        return self.halves.shape[1] > 0


def multiplies_halves() -> bool:
    """Whether this processor multiplies bfloat16 in fewer instructions than float32; else it takes ten times as long."""
    return any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))


def empty(dim: int, *, halved: bool) -> View:
    return _view(np.empty((0, dim), np.float32), [], 0, halved=halved)


def extended(view: View, added: Sequence[Keyed]) -> View:
    """The view with rows behind its own."""
    rows = view.rows + len(added)
    if rows > len(view.vectors):
        view = replace(_view(view.vectors[: view.rows], view.entries, rows, halved=view.is_halved), dead=view.dead)
    for row, (_, vector) in enumerate(added, start=view.rows):
        view.vectors[row] = vector
    if view.is_halved:
        view.halves[view.rows : rows] = torch.from_numpy(view.vectors[view.rows : rows])
    view.entries.extend(entry for entry, _ in added)
    return replace(view, rows=rows)


def without(view: View, rows: Sequence[int]) -> View:
    """The view with some of its rows deleted: they stay where they are, and nobody finds them."""
    return replace(view, dead=np.concatenate([view.dead, np.array(rows, np.int64)]))


def compacted(view: View) -> View:
    """A copy of the live rows, in the same order."""
    alive = np.delete(np.arange(view.rows), view.dead)
    return _view(view.vectors[alive], [view.entries[row] for row in alive], len(alive), halved=view.is_halved)


def _view(vectors: np.ndarray, entries: list[Experience], room: int, *, halved: bool) -> View:
    """A view of new arrays, which have room for at least so many rows."""
    rows, dim = vectors.shape
    capacity = max(LEAST_CAPACITY, 1 << max(0, room - 1).bit_length())
    roomy = np.empty((capacity, dim), np.float32)
    roomy[:rows] = vectors
    halves = torch.empty((capacity, dim if halved else 0), dtype=torch.bfloat16)
    if halved:
        halves[:rows] = torch.from_numpy(roomy[:rows])
    return View(roomy, halves, entries, rows, np.empty(0, np.int64))
