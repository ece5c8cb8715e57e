"""The embedded vector index: exact top-k over resident rows, one table per scope.

Rows are only ever appended; a deletion is a tombstone, and compaction builds new arrays. So a published `View` never
changes, readers take one without a lock, and each sees whole operations only. (A free list of rows would be smaller but
would write under a reader's eyes.)
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from crl.bank import table
from crl.bank.nearest import nearest
from crl.bank.records import Hit, Keyed, Record
from crl.bank.table import View
from crl.types import Experience

COMPACT_SHARE = 0.125  # tombstones tolerated, as a share of the rows


class EmbeddedIndex:
    """One writer at a time (the bank's lock); any number of readers. The ledger can rebuild it."""

    def __init__(self, dim: int, *, halved: bool | None = None) -> None:
        """`halved`: multiply in bfloat16 first. None: where the processor can; results are the same."""
        self.dim = dim
        self._halved = table.multiplies_halves() if halved is None else halved
        self._views: dict[str, View] = {}
        self._row_of: dict[str, tuple[str, int]] = {}
        # OpenMP's thread count belongs to the calling thread: the pool's threads must take over ours.
        threads = torch.get_num_threads()
        self._helpers = max(1, len(os.sched_getaffinity(0)) // threads) - 1  # beside the thread that searches
        self._pool = ThreadPoolExecutor(max(1, self._helpers), "bank-search", torch.set_num_threads, (threads,))

    def commit(self, scope: str, add: Sequence[Keyed], remove: Sequence[str]) -> None:
        """One whole operation: readers see all of it or nothing.

        What is removed was there before, and what is added is newer than all that stays. So an entry that is in both is
        replaced, and is the newest from then on.
        """
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
        return table.empty(self.dim, halved=self._halved)

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
        near = (
            state.vectors[: state.rows] @ key >= least - 1e-5
        )  # above any rounding; what counts is exact, see `nearest`
        near[state.dead] = False
        rows = np.flatnonzero(near)
        exact = np.vecdot(state.vectors[rows].astype(np.float64), key.astype(np.float64))
        return [state.entries[row] for row in rows[exact >= least]]

    def search(self, queries: Mapping[str, np.ndarray], k: int) -> dict[str, list[list[Hit]]]:
        """For each scope and query row [B, D] the k nearest entries, best first."""
        return {
            scope: nearest(self._view(scope), np.ascontiguousarray(batch, np.float32), k, self._in_parallel)
            for scope, batch in queries.items()
        }

    def _in_parallel(self, jobs: Sequence[Callable[[], object]]) -> None:
        """Do them all, in this thread and in those of the pool."""
        left = iter(jobs)

        def work() -> None:
            for job in left:
                job()

        helping = [self._pool.submit(work) for _ in range(min(self._helpers, len(jobs) - 1))]
        work()
        for helper in helping:
            helper.result()
