"""The embedded vector index: exact top-k over resident rows, one table per scope.

Rows are only ever appended; a deletion is a tombstone, and compaction builds new arrays. So a published
`View` never changes, readers take one without a lock, and each sees whole operations only. (A free list
of rows would be smaller but would write under a reader's eyes.)

Search is exact and reproducible, see `crl.bank.nearest`.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch

from crl.bank import coarse, view
from crl.bank.nearest import CHUNK, Bounds, Ranked
from crl.bank.reports import Hit
from crl.bank.view import View
from crl.types import Experience

COMPACT_SHARE = 0.125  # tombstones tolerated, as a share of the rows
COARSE_ROWS = 4096  # in smaller tables float32 products take no longer than coding the queries


class EmbeddedIndex:
    """One writer at a time (the bank's lock); any number of readers. The ledger can rebuild it."""

    def __init__(self, dim: int, *, coded: bool | None = None) -> None:
        """`coded`: search large tables by int8 codes first. None: where the processor can; results are the same."""
        self.dim = dim
        self._coded = coarse.is_native() if coded is None else coded
        self._views: dict[str, View] = {}
        self._row_of: dict[str, tuple[str, int]] = {}
        # OpenMP's thread count belongs to the calling thread: the pool's threads must take over ours.
        threads = torch.get_num_threads()
        self._helpers = max(1, len(os.sched_getaffinity(0)) // threads) - 1  # beside the thread that searches
        self._pool = ThreadPoolExecutor(max(1, self._helpers), "bank-search", torch.set_num_threads, (threads,))

    def commit(self, scope: str, add: Sequence[tuple[Experience, np.ndarray]], remove: Sequence[str]) -> None:
        """One whole operation: readers see all of it or nothing."""
        state = self._extended(scope, self._view(scope), add)
        state = view.without(state, [self._row_of.pop(entry_id)[1] for entry_id in remove])
        if len(state.dead) > COMPACT_SHARE * state.rows:
            state = view.compacted(state)
            self._row_of.update((entry.id, (scope, row)) for row, entry in enumerate(state.entries))
        self._views[scope] = state  # the one assignment that readers can see

    def load(self, rows: Mapping[str, Sequence[tuple[Experience, np.ndarray]]]) -> None:
        """Replace everything at once; rows come oldest first."""
        self._row_of = {}
        self._views = {scope: self._extended(scope, self._empty(), table) for scope, table in rows.items()}

    def _empty(self) -> View:
        return view.empty(self.dim, coded=self._coded)

    def _view(self, scope: str) -> View:
        return self._views.get(scope) or self._empty()

    def _extended(self, scope: str, state: View, add: Sequence[tuple[Experience, np.ndarray]]) -> View:
        self._row_of.update((entry.id, (scope, row)) for row, (entry, _) in enumerate(add, start=state.rows))
        return view.extended(state, [entry for entry, _ in add], [vector for _, vector in add])

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
        near = state.vectors[: state.rows] @ key >= least
        near[state.dead] = False
        return [state.entries[row] for row in np.flatnonzero(near)]

    def table(self, scope: str) -> tuple[tuple[Experience, ...], np.ndarray]:
        """The live entries of one state of a scope with their key vectors [N, D], oldest first."""
        state = self._view(scope)
        alive = view.live_rows(state)
        return tuple(state.entries[row] for row in alive), state.vectors[alive]

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
