"""The resident copy of the ledger's live entries: what decides which hits of a server count, and how they rank.

A search asks the server first and then ranks what it found by the state of that moment. Entries that joined
meanwhile are ranked with the others, those that left are dropped: the answer is of one state, never of half a change.
"""

import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from crl.bank.index import EmbeddedIndex, Hit
from crl.bank.nearest import TIE_DECIMALS
from crl.types import Experience

_REMEMBERED = 1024  # commits that a search may be overtaken by; after more it is answered from the copy
_SERVER_NOISE = 2e-6  # of a score: the server ranks by float32 products


class Row(NamedTuple):
    entry: Experience
    number: int  # order of creation, in this process


class Resident:
    """One writer (the index's lock); readers hold the lock only to look entries up."""

    def __init__(self, dim: int, uuid_of: Callable[[str], uuid.UUID]) -> None:
        self.index = EmbeddedIndex(dim)
        self.generation = 0
        self._uuid_of, self._lock = uuid_of, threading.Lock()
        self._rows: dict[uuid.UUID, Row] = {}
        self._recent: deque[tuple[int, str, list[uuid.UUID]]] = deque(maxlen=_REMEMBERED)
        self._created = 0

    def commit(self, scope: str, add: Sequence[tuple[Experience, np.ndarray]], remove: Sequence[str]) -> None:
        joined = {self._uuid_of(entry.id): entry for entry, _ in add}
        left = [self._uuid_of(entry_id) for entry_id in remove]
        with self._lock:
            self.index.commit(scope, add, remove)
            self._rows.update(self._numbered(joined))
            for id_ in left:
                del self._rows[id_]
            self.generation += 1
            self._recent.append((self.generation, scope, list(joined)))

    def load(self, rows: Mapping[str, Sequence[tuple[Experience, np.ndarray]]]) -> None:
        with self._lock:
            self.index.load(rows)
            entries = {self._uuid_of(entry.id): entry for table in rows.values() for entry, _ in table}
            self._rows = self._numbered(entries)
            self.generation += _REMEMBERED + 1  # a search that began before has no common state with this one

    def _numbered(self, entries: Mapping[uuid.UUID, Experience]) -> dict[uuid.UUID, Row]:
        first, self._created = self._created, self._created + len(entries)
        return {id_: Row(entry, number) for number, (id_, entry) in enumerate(entries.items(), start=first)}

    def ids(self) -> list[uuid.UUID]:
        with self._lock:
            return list(self._rows)

    def live(self, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[Experience, np.ndarray]]:
        """Those of the objects that are live entries, with their vectors."""
        with self._lock:
            rows = {id_: self._rows[id_].entry for id_ in ids if id_ in self._rows}
            return {id_: (entry, self.index.vector(entry.id)) for id_, entry in rows.items()}

    def entries(self, ids: Sequence[uuid.UUID]) -> list[Experience | None]:
        with self._lock:
            return [row.entry if (row := self._rows.get(id_)) else None for id_ in ids]

    def ranked(
        self, scope: str, queries: np.ndarray, found: Sequence[Sequence[uuid.UUID]], k: int, limit: int, since: int
    ) -> list[list[Hit] | None]:
        """The k best of one state for each query row [B, D], from what a server found, at most `limit` for each.

        `since` is the generation from before the server was asked. None where what was found does not decide: too little
        of it is live, or all of it is as near as the k-th (equal keys), so that others may come first.
        """
        with self._lock:
            if self.generation - since > _REMEMBERED:
                return [None] * len(queries)
            joined = [id_ for born, of, ids in self._recent if born > since and of == scope for id_ in ids]
            rows = {id_: row for ids in (*found, joined) for id_ in ids if (row := self._rows.get(id_))}
            vectors = {id_: self.index.vector(row.entry.id) for id_, row in rows.items()}
            wanted = min(k, self.index.count(scope))
        answers: list[list[Hit] | None] = []
        for query, ids in zip(queries, found, strict=True):
            candidates = list(dict.fromkeys(id_ for id_ in (*ids, *joined) if id_ in rows))
            best = _Ranking(query, [rows[id_] for id_ in candidates], [vectors[id_] for id_ in candidates], wanted)
            answers.append(best.hits() if len(ids) < limit or best.is_decided() else None)
            if len(candidates) < wanted:
                answers[-1] = None
        return answers


class _Ranking:
    """Candidates by exact score, equal ones newest first: the rule of `EmbeddedIndex`."""

    def __init__(self, query: np.ndarray, rows: Sequence[Row], vectors: Sequence[np.ndarray], k: int) -> None:
        self._rows, self._k = rows, k
        table = np.array(vectors, np.float64).reshape(len(rows), -1)
        self._scores = np.vecdot(table, query.astype(np.float64)[: table.shape[1]]).round(TIE_DECIMALS)
        self._order = np.lexsort((-np.array([row.number for row in rows]), -self._scores)).tolist()

    def is_decided(self) -> bool:
        """Whether nothing that a server left out can belong to the k best."""
        if len(self._rows) < max(1, self._k):
            return False
        return self._scores.min() < self._scores[self._order[self._k - 1]] - _SERVER_NOISE

    def hits(self) -> list[Hit]:
        return [Hit(self._rows[at].entry, float(self._scores[at])) for at in self._order[: self._k]]
