"""The embedded vector index: exact top-k over resident rows, one table per scope.

Rows are only ever appended; a deletion is a tombstone, and compaction builds new arrays. So a published `View` never
changes, readers take one without a lock, and each sees whole operations only. (A free list of rows would be smaller but
would write under a reader's eyes.)

A search takes a cheap upper bound for every row, and exact scores for the few that can matter:
1. Upper bounds of all scores [B, rows], from int8 codes or from float32 products, and their maxima over blocks.
2. The best row of each of the k best blocks is scored exactly. The lowest of these k scores is a floor: the
   k best rows lie above it.
3. Rows whose bound reaches the floor are scored exactly, which is about 3 k rows of 20,000 with int8.

Exact scores are float64 products, each computed alone, so neither batch mates nor row positions nor threads nor
the way to the bounds can change a result. Equal to six decimals is a tie, which the newer row wins.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch

from crl.bank import table
from crl.bank.records import Hit, Keyed, Record
from crl.bank.table import View, encoded
from crl.types import Experience

BLOCK = 32  # rows whose maximum stands for them
CHUNK = 320 * BLOCK  # rows per matrix product and thread; 2 of them cover the paper's 20,000
CROWD_SHARE = 1 / 16  # of the rows: scoring more of them exactly costs more than float32 products of all
TIE_DECIMALS = 6  # coarser than the noise of embedding a text in another batch (about 1e-7)

Ranked = tuple[list[int], list[float]]  # rows and their scores, best first


class Bounds:
    """Upper bounds of the scores of one batch of unit queries [B, D] against one view."""

    def __init__(self, view: View, queries: np.ndarray, *, coarse: bool) -> None:
        self.view, self.coarse = view, coarse
        self.queries = np.ascontiguousarray(queries, np.float32)
        blocks = -(-view.rows // BLOCK)
        self.upper = np.empty((len(queries), blocks * BLOCK), np.float32)
        self.upper[:, view.rows :] = -np.inf
        self.maxima = np.empty((len(queries), blocks), np.float32)
        # float32 products and sums of unit vectors, in any order, are off by less than this.
        self.rounding = (view.vectors.shape[1] + 16) * 2.0**-24
        self.slack_B = np.full(len(queries), self.rounding)  # added to what `upper` holds it is an upper bound
        if coarse:
            codes = encoded(self.queries)
            self._values, self._scales = torch.from_numpy(codes.values), torch.from_numpy(codes.scales)[:, None]
            self.slack_B += codes.losses * (1 + view.losses.max(initial=0.0))

    def fill(self, start: int) -> None:
        """The bounds of the rows [start, start + CHUNK), and their blocks' maxima."""
        stop = min(start + CHUNK, self.view.rows)
        out = torch.from_numpy(self.upper)[:, start:stop]
        if self.coarse:
            view, rows = self.view, slice(start, stop)
            products = torch._int_mm(self._values, torch.from_numpy(view.values[rows]).T)
            torch.mul(products, torch.from_numpy(view.scales[rows]), out=out)
            torch.addcmul(torch.from_numpy(view.losses[rows]), out, self._scales, out=out)
        else:
            torch.mm(torch.from_numpy(self.queries), torch.from_numpy(self.view.vectors[start:stop]).T, out=out)
            dead = self.view.dead
            self.upper[:, dead[(dead >= start) & (dead < stop)]] = -np.inf
        blocks = slice(start // BLOCK, -(-stop // BLOCK))
        padded = torch.from_numpy(self.upper)[:, blocks.start * BLOCK : blocks.stop * BLOCK]
        torch.amax(padded.unflatten(1, (-1, BLOCK)), dim=2, out=torch.from_numpy(self.maxima)[:, blocks])

    def best(self, k: int) -> list[Ranked | None]:
        """The k best live rows of each query, after all is filled; None where coarse bounds leave too many open."""
        k = min(k, self.view.alive)
        if k == 0:
            return [([], []) for _ in self.queries]
        crowd = k + CROWD_SHARE * self.view.rows if self.coarse else self.view.rows
        queries = self.queries.astype(np.float64)
        return [
            self._ranked(query, rows, k) if len(rows) <= crowd else None
            for query, rows in zip(queries, self._reaching(self._floor(k)), strict=True)
        ]

    def _floor(self, k: int) -> np.ndarray:
        """Bounds [B, 1] that the k best rows of each query reach, and few others."""
        rows_BK = self._promising(k)
        scores_BK = np.vecdot(self.view.vectors[rows_BK], self.queries[:, None])
        scores_BK[np.take_along_axis(self.upper, rows_BK, axis=1) == -np.inf] = -np.inf
        floor_B = scores_BK.min(axis=1) - self.rounding - 10.0**-TIE_DECIMALS - self.slack_B
        # Rounded down, and never as low as what is deleted.
        return np.nextafter(np.maximum(floor_B, -4).astype(np.float32), np.float32(-5))[:, None]

    def _promising(self, k: int) -> np.ndarray:
        """k rows [B, k] that are likely among the best."""
        if self.maxima.shape[1] < 2 * k:
            return torch.topk(torch.from_numpy(self.upper), k, dim=1, sorted=False).indices.numpy()
        blocks_BK = torch.topk(torch.from_numpy(self.maxima), k, dim=1, sorted=False).indices.numpy()
        bounds = self._blocks()[np.arange(len(blocks_BK))[:, None], blocks_BK]
        return np.minimum(blocks_BK * BLOCK + bounds.argmax(axis=2), self.view.rows - 1)

    def _reaching(self, floor_B: np.ndarray) -> list[np.ndarray]:
        """For each query the rows whose bound reaches its floor, oldest first."""
        query_P, block_P = np.nonzero(self.maxima >= floor_B)
        at, inside = np.nonzero(self._blocks()[query_P, block_P] >= floor_B[query_P])
        rows = block_P[at] * BLOCK + inside
        return np.split(rows, np.searchsorted(query_P[at], np.arange(1, len(floor_B))))

    def _blocks(self) -> np.ndarray:
        return self.upper.reshape(len(self.upper), -1, BLOCK)

    def _ranked(self, query: np.ndarray, rows: np.ndarray, k: int) -> Ranked:
        """The k best of a query's candidates: by exact score, then newest first."""
        exact = np.vecdot(self.view.vectors[rows].astype(np.float64), query).round(TIE_DECIMALS)
        best = np.lexsort((-rows, -exact))[:k]
        return rows[best].tolist(), exact[best].tolist()


COMPACT_SHARE = 0.125  # tombstones tolerated, as a share of the rows
COARSE_ROWS = 4096  # in smaller tables float32 products take no longer than coding the queries


class EmbeddedIndex:
    """One writer at a time (the bank's lock); any number of readers. The ledger can rebuild it."""

    def __init__(self, dim: int, *, coded: bool | None = None) -> None:
        """`coded`: search large tables by int8 codes first. None: where the processor can; results are the same."""
        self.dim = dim
        self._coded = table.is_native() if coded is None else coded
        self._views: dict[str, View] = {}
        self._row_of: dict[str, tuple[str, int]] = {}
        # OpenMP's thread count belongs to the calling thread: the pool's threads must take over ours.
        threads = torch.get_num_threads()
        self._helpers = max(1, len(os.sched_getaffinity(0)) // threads) - 1  # beside the thread that searches
        self._pool = ThreadPoolExecutor(max(1, self._helpers), "bank-search", torch.set_num_threads, (threads,))

    def commit(self, scope: str, add: Sequence[Keyed], remove: Sequence[str]) -> None:
        """One whole operation: readers see all of it or nothing. An entry that is in both is replaced."""
        gone = [self._row_of.pop(entry_id)[1] for entry_id in remove]
        state = table.without(self._extended(scope, self._view(scope), add), gone)
        if len(state.dead) > COMPACT_SHARE * state.rows:
            state = table.compacted(state)
            self._row_of.update((entry.id, (scope, row)) for row, entry in enumerate(state.entries))
        self._views[scope] = state  # the one assignment that readers can see

    def load(self, entries: Iterable[Keyed | Record]) -> None:
        """Replace everything at once; entries come oldest first."""
        by_scope: dict[str, list[Keyed]] = {}
        for each in entries:
            by_scope.setdefault(each.entry.task, []).append(Keyed(each.entry, each.vector))
        self._row_of = {}
        self._views = {scope: self._extended(scope, self._empty(), rows) for scope, rows in by_scope.items()}

    def _empty(self) -> View:
        return table.empty(self.dim, coded=self._coded)

    def _view(self, scope: str) -> View:
        return self._views.get(scope) or self._empty()

    def _extended(self, scope: str, state: View, add: Sequence[Keyed]) -> View:
        self._row_of.update((entry.id, (scope, row)) for row, (entry, _) in enumerate(add, start=state.rows))
        return table.extended(state, add)

    def scopes(self) -> tuple[str, ...]:
        return tuple(sorted(self._views))

    def count(self, scope: str) -> int:
        return self._view(scope).alive

    def vector(self, entry_id: str) -> np.ndarray:
        scope, row = self._row_of[entry_id]
        return self._views[scope].vectors[row].copy()

    def oldest_first(self, scope: str) -> Iterator[Experience]:
        """The live entries of one state of a scope."""
        state = self._view(scope)
        dead = set(state.dead.tolist())
        return (state.entries[row] for row in range(state.rows) if row not in dead)

    def within(self, scope: str, key: np.ndarray, least: float) -> list[Experience]:
        """The live entries whose keys' similarity to a unit vector [D] is at least this, oldest first."""
        state = self._view(scope)
        near = state.vectors[: state.rows] @ key >= least - 1e-5  # above any rounding; what counts is exact, see above
        near[state.dead] = False
        rows = np.flatnonzero(near)
        exact = np.vecdot(state.vectors[rows].astype(np.float64), key.astype(np.float64))
        return [state.entries[row] for row in rows[exact >= least]]

    def search(self, queries: Mapping[str, np.ndarray], k: int) -> dict[str, list[list[Hit]]]:
        """For each scope and query row [B, D] the k nearest entries, best first."""
        views = self._views
        states = {scope: views[scope] for scope, batch in queries.items() if scope in views and len(batch)}
        bounds = {
            scope: Bounds(state, queries[scope], coarse=state.is_coded and state.rows >= COARSE_ROWS)
            for scope, state in states.items()
        }
        best = self._best(list(bounds.values()), k)
        nothing: dict[str, list[list[Hit]]] = {scope: [[] for _ in batch] for scope, batch in queries.items()}
        return nothing | {
            scope: [_hits(states[scope], *ranked) for ranked in found]
            for scope, found in zip(states, best, strict=True)
        }

    def _best(self, bounds: Sequence[Bounds], k: int) -> list[list[Ranked]]:
        """For each query of all bounds; what coarse ones leave open is decided by float32 products."""
        self._share([partial(bound.fill, start) for bound in bounds for start in range(0, bound.view.rows, CHUNK)])
        best = [bound.best(k) for bound in bounds]  # in threads it is slower: small steps, one interpreter lock
        for bound, found in zip(bounds, best, strict=True):
            if undecided := [query for query, ranked in enumerate(found) if ranked is None]:
                finer = Bounds(bound.view, bound.queries[undecided], coarse=False)
                for query, ranked in zip(undecided, self._best([finer], k)[0], strict=True):
                    found[query] = ranked
        return best

    def _share(self, jobs: Sequence[Callable[[], None]]) -> None:
        """Do them all, in this thread and in those of the pool."""
        left = iter(jobs)

        def work() -> None:
            for job in left:
                job()

        helping = [self._pool.submit(work) for _ in range(min(self._helpers, len(jobs) - 1))]
        work()
        for helper in helping:
            helper.result()


def _hits(state: View, rows: list[int], scores: list[float]) -> list[Hit]:
    return list(map(_hit, zip(map(state.entries.__getitem__, rows), scores, strict=True)))


_hit = partial(tuple.__new__, Hit)  # a third of the time of Hit(...), for 512 of them in a batch
