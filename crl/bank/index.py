"""The embedded vector index: exact top-k over resident float32 rows, one table per scope.

Rows are only ever appended; a deletion is a tombstone, and compaction builds new arrays. So a published
`View` never changes, readers take one without a lock, and each sees whole operations only. (A free list
of rows would be smaller but would write under a reader's eyes.)

Search is exact and reproducible: float32 products only select candidates, within a rigorous bound of
their rounding error; the order comes from float64 products, equal to six decimals counting as a tie that
the newer entry wins. Neither batch mates nor row positions nor threads can change a result.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch

from crl.types import Experience

BLOCK = 32  # rows whose maximum stands for them while candidates are selected
CHUNK = 320 * BLOCK  # rows per matrix product and thread; 2 of them cover the paper's 20,000
SPARE = 8  # candidates beyond k that are always re-scored; more only if still undecided
COMPACT_SHARE = 0.125  # tombstones tolerated, as a share of the rows
TIE_DECIMALS = 6  # coarser than the noise of embedding a text in another batch (about 1e-7)


class Hit(NamedTuple):
    entry: Experience
    score: float


class Index(Protocol):
    """What the bank needs of a vector store; the ledger can rebuild any of them."""

    def commit(self, scope: str, add: Sequence[tuple[Experience, np.ndarray]], remove: Sequence[str]) -> None:
        """One whole operation: readers see all of it or nothing."""
        ...

    def search(self, queries: Mapping[str, np.ndarray], k: int) -> dict[str, list[list[Hit]]]:
        """For each scope and query row [B, D] the k nearest entries, best first."""
        ...

    def load(self, rows: Mapping[str, Sequence[tuple[Experience, np.ndarray]]]) -> None:
        """Replace everything at once; rows come oldest first."""
        ...

    def scopes(self) -> tuple[str, ...]: ...
    def count(self, scope: str) -> int: ...
    def vector(self, entry_id: str) -> np.ndarray: ...

    def oldest_first(self, scope: str) -> Iterator[Experience]:
        """The live entries of one state of a scope."""
        ...

    def table(self, scope: str) -> tuple[tuple[Experience, ...], np.ndarray]:
        """The same with their key vectors [N, D]."""
        ...


@dataclass(frozen=True, slots=True)
class View:
    """One state of a table. `vectors` and `entries` may grow behind `rows`, never change before it."""

    vectors: np.ndarray  # [capacity, D]
    entries: list[Experience]  # row -> entry, in order of creation
    rows: int
    dead: np.ndarray  # rows deleted so far, int64


class EmbeddedIndex:
    """The in-process `Index`. One writer at a time (the bank's lock); any number of readers."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._views: dict[str, View] = {}
        self._row_of: dict[str, tuple[str, int]] = {}
        # OpenMP's thread count belongs to the calling thread: the pool's threads must take over ours.
        threads = torch.get_num_threads()
        workers = max(1, len(os.sched_getaffinity(0)) // threads)
        self._pool = ThreadPoolExecutor(workers, "bank-search", torch.set_num_threads, (threads,))
        self._workers = workers

    def commit(self, scope: str, add: Sequence[tuple[Experience, np.ndarray]], remove: Sequence[str]) -> None:
        view = self._views.get(scope) or self._empty()
        view = self._extended(scope, view, add)
        gone = np.array([self._row_of.pop(entry_id)[1] for entry_id in remove], np.int64)
        view = View(view.vectors, view.entries, view.rows, np.concatenate([view.dead, gone]))
        if len(view.dead) > COMPACT_SHARE * view.rows:
            view = self._compacted(scope, view)
        self._views[scope] = view  # the one assignment that readers can see

    def load(self, rows: Mapping[str, Sequence[tuple[Experience, np.ndarray]]]) -> None:
        self._row_of = {}
        self._views = {scope: self._extended(scope, self._empty(), table) for scope, table in rows.items()}

    def _empty(self) -> View:
        return View(np.empty((64, self.dim), np.float32), [], 0, np.empty(0, np.int64))

    def _extended(self, scope: str, view: View, add: Sequence[tuple[Experience, np.ndarray]]) -> View:
        rows, vectors = view.rows + len(add), view.vectors
        if rows > len(vectors):
            vectors = np.empty((_capacity(rows), self.dim), np.float32)
            vectors[: view.rows] = view.vectors[: view.rows]
        for row, (entry, vector) in enumerate(add, start=view.rows):
            vectors[row] = vector
            view.entries.append(entry)
            self._row_of[entry.id] = (scope, row)
        return View(vectors, view.entries, rows, view.dead)

    def _compacted(self, scope: str, view: View) -> View:
        alive = np.delete(np.arange(view.rows), view.dead)
        vectors = np.empty((_capacity(len(alive)), self.dim), np.float32)
        vectors[: len(alive)] = view.vectors[alive]
        entries = [view.entries[row] for row in alive]
        self._row_of.update((entry.id, (scope, row)) for row, entry in enumerate(entries))
        return View(vectors, entries, len(alive), np.empty(0, np.int64))

    def scopes(self) -> tuple[str, ...]:
        return tuple(sorted(self._views))

    def count(self, scope: str) -> int:
        view = self._views.get(scope)
        return 0 if view is None else view.rows - len(view.dead)

    def vector(self, entry_id: str) -> np.ndarray:
        scope, row = self._row_of[entry_id]
        return self._views[scope].vectors[row].copy()

    def oldest_first(self, scope: str) -> Iterator[Experience]:
        view = self._views.get(scope) or self._empty()
        dead = set(view.dead.tolist())
        return (view.entries[row] for row in range(view.rows) if row not in dead)

    def table(self, scope: str) -> tuple[tuple[Experience, ...], np.ndarray]:
        view = self._views.get(scope) or self._empty()
        alive = np.delete(np.arange(view.rows), view.dead)
        return tuple(view.entries[row] for row in alive), view.vectors[alive]

    def search(self, queries: Mapping[str, np.ndarray], k: int) -> dict[str, list[list[Hit]]]:
        views = self._views
        products = {
            scope: _Product(views[scope], batch)
            for scope, batch in queries.items()
            if scope in views and views[scope].rows and len(batch)
        }
        jobs = [(product, start) for product in products.values() for start in range(0, product.view.rows, CHUNK)]
        if len(jobs) > 1 and self._workers > 1:
            list(self._pool.map(lambda job: job[0].fill(job[1]), jobs))
        else:
            for product, start in jobs:
                product.fill(start)
        nothing: dict[str, list[list[Hit]]] = {scope: [[] for _ in batch] for scope, batch in queries.items()}
        return nothing | {scope: product.top(k) for scope, product in products.items()}


def _capacity(rows: int) -> int:
    return max(64, 1 << (rows - 1).bit_length()) if rows else 64


class _Product:
    """Scores of one view against one batch of queries, and the selection of the best."""

    def __init__(self, view: View, queries: np.ndarray) -> None:
        self.view = view
        self.queries = np.ascontiguousarray(queries, np.float32)  # [B, D]
        blocks = -(-view.rows // BLOCK)
        self.scores = np.empty((blocks * BLOCK, len(queries)), np.float32)  # [rows, B]
        self.scores[view.rows :] = -np.inf
        self.maxima = np.empty((blocks, len(queries)), np.float32)

    def fill(self, start: int) -> None:
        """Scores and block maxima of the rows [start, start + CHUNK)."""
        stop = min(start + CHUNK, self.view.rows)
        out = torch.from_numpy(self.scores[start:stop])
        torch.mm(torch.from_numpy(self.view.vectors[start:stop]), torch.from_numpy(self.queries).T, out=out)
        dead = self.view.dead
        self.scores[dead[(dead >= start) & (dead < stop)]] = -np.inf
        blocks = slice(start // BLOCK, -(-stop // BLOCK))
        padded = torch.from_numpy(self.scores[blocks.start * BLOCK : blocks.stop * BLOCK])
        torch.amax(padded.view(-1, BLOCK, padded.shape[1]), dim=1, out=torch.from_numpy(self.maxima[blocks]))

    def top(self, k: int) -> list[list[Hit]]:
        """The k best live entries of each query, best first.

        The k best rows lie in blocks whose maximum reaches the k-th best maximum. The fast path takes k + SPARE
        blocks and rows for all queries at once; where that many still crowd the threshold (many equal
        keys), the query is decided alone from everything above it.
        """
        error = self.view.vectors.shape[1] * 2.0**-24  # bound for a float32 dot product of unit vectors
        margin = 2 * error + 10.0**-TIE_DECIMALS
        alive = self.view.rows - len(self.view.dead)
        k = min(k, alive)
        if k == 0:
            return [[] for _ in self.queries]
        rows_BC, crowded_B = self._candidates(k, k + SPARE, margin)
        hits = self._ranked(np.arange(len(self.queries)), rows_BC, k)
        for query in np.flatnonzero(crowded_B):
            hits[query] = self._ranked(np.array([query]), self._all_candidates(query, k, margin)[None], k)[0]
        return hits

    def _candidates(self, k: int, wide: int, margin: float) -> tuple[np.ndarray, np.ndarray]:
        """Rows [B, C] that hold the k best of each query, and the queries that this could not decide [B]."""
        blocks_BC, crowded_B = _largest(np.ascontiguousarray(self.maxima.T), k, wide, margin)
        rows_BR = (blocks_BC[:, :, None] * BLOCK + np.arange(BLOCK)).reshape(len(blocks_BC), -1)
        scores_BR = self.scores[rows_BR, np.arange(len(rows_BR))[:, None]]
        chosen_BC, more_B = _largest(scores_BR, k, wide, margin)
        return np.take_along_axis(rows_BR, chosen_BC, axis=1), crowded_B | more_B

    def _all_candidates(self, query: int, k: int, margin: float) -> np.ndarray:
        """Every row that may belong to the k best of one query."""
        scores = self.scores[:, query]
        return np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k] - margin)

    def _ranked(self, queries_B: np.ndarray, rows_BC: np.ndarray, k: int) -> list[list[Hit]]:
        """The k best of each query's candidates, of which at least k are live: by exact score, then newest first."""
        live_BC = self.scores[rows_BC, queries_B[:, None]] > -np.inf  # neither padding nor deleted
        vectors_BCD = self.view.vectors[np.minimum(rows_BC, self.view.rows - 1)]
        exact_BC = np.einsum("bcd,bd->bc", vectors_BCD, self.queries[queries_B], dtype=np.float64)
        exact_BC = np.where(live_BC, exact_BC.round(TIE_DECIMALS), -np.inf)
        best_BK = np.lexsort((-rows_BC, -exact_BC), axis=-1)[:, :k]
        rows_BK = np.take_along_axis(rows_BC, best_BK, axis=1).tolist()
        exact_BK = np.take_along_axis(exact_BC, best_BK, axis=1).tolist()
        entry = self.view.entries.__getitem__
        return [list(map(Hit, map(entry, rows), scores)) for rows, scores in zip(rows_BK, exact_BK, strict=True)]


def _largest(values_BN: np.ndarray, k: int, wide: int, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Columns [B, wide] of the largest values, and whether others may lie within `margin` of the k-th [B]."""
    batch, columns = values_BN.shape
    if columns <= wide:
        return np.broadcast_to(np.arange(columns), (batch, columns)), np.zeros(batch, bool)
    top_BC = np.argpartition(values_BN, columns - wide, axis=1)[:, columns - wide :]
    top_values = np.sort(np.take_along_axis(values_BN, top_BC, axis=1), axis=1)
    return top_BC, top_values[:, 0] >= top_values[:, -min(k, wide)] - margin
