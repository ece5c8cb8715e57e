"""Ledger, index and memory, kept in agreement: the ledger first, then what readers see."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from crl.bank.audit import Disagreement, audit
from crl.bank.dedup import NearDuplicates
from crl.bank.evict import victims
from crl.bank.index import EmbeddedIndex
from crl.bank.ledger import Ledger
from crl.bank.memory import Memory
from crl.bank.records import Change, Kind
from crl.bank.reports import Left
from crl.config.learn import BankConfig
from crl.errors import BankError
from crl.types import Completion, Experience

LOCK_TIMEOUT_S = 60.0  # far above any transaction: reaching it means a hung writer


class Store:
    """One writer at a time, from any thread; reading `index` and `memory` takes no lock."""

    memory: Memory

    def __init__(
        self, ledger: Ledger, index: EmbeddedIndex, config: BankConfig, seed: int, duplicates: NearDuplicates
    ) -> None:
        self.ledger, self.index, self.duplicates = ledger, index, duplicates
        self.tally: Counter[str] = Counter()  # mutations since `Bank.metrics` last asked
        self._config, self._seed = config, seed
        self._lock = threading.Lock()
        self.load()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Exclusive, after all showings counted so far have reached the ledger."""
        if not self._lock.acquire(timeout=LOCK_TIMEOUT_S):
            raise BankError(
                f"the bank's writer lock was not free for {LOCK_TIMEOUT_S:g} s. Remedy: look for a hung write, restart"
            )
        try:
            if rows := self.memory.take_unsaved():
                self.memory.saved(rows, self.ledger.write_shown(rows, max(row.round for row in rows)))
            yield
        finally:
            self._lock.release()

    def commit(self, scope: str, changes: list[Change], *, round: int, completion: Completion | None = None) -> Left:
        """One whole operation and what has to leave because of it. Needs `writing`."""
        leaving = {id_ for change in changes for id_ in change.removed}
        added = [keyed for change in changes for keyed in change.added]
        closest = self.duplicates.dropped(self.index, scope, added, leaving)
        if closest:
            pairs = ", ".join(f"{old[:8]} to {new[:8]}" for old, new in closest.items())
            detail = f"similarity {self._config.dedup_similarity:g}: {pairs}"
            changes = [*changes, Change(Kind.DEDUP, round, scope, removed=tuple(closest), detail=detail)]
        staying = [keyed.entry.id for keyed in added if keyed.entry.id not in closest]
        evicted = self._victims(scope, leaving | (closest.keys() - {keyed.entry.id for keyed in added}), staying)
        if evicted:
            changes = [*changes, Change(Kind.EVICT, round, scope, removed=evicted, detail=self._config.evict)]
        seq = self.ledger.write(changes, completion)
        removed = [id_ for change in changes for id_ in change.removed]
        self.index.commit(scope, [(keyed.entry, keyed.vector) for keyed in added], removed)
        self.memory.committed(changes, seq)
        self.duplicates.forget(removed)
        for change in changes:
            self.tally[change.kind] += len(change.added) or len(change.removed)
        return Left(evicted, tuple(closest))

    def _victims(self, scope: str, leaving: set[str], arriving: Sequence[str]) -> tuple[str, ...]:
        overflow = self.index.count(scope) - len(leaving) + len(arriving) - self._config.capacity
        if overflow <= 0:
            return ()
        chosen = victims(
            self._config.evict,
            (entry for entry in self.index.oldest_first(scope) if entry.id not in leaving),
            overflow,
            last_used=self.memory.last_used,
            effect=self.memory.shrunk_effect,
            seed_parts=(self._seed, "evict", scope, self.ledger.position),
        )
        # What just arrived stays, unless the table is too small even for that.
        return (*(entry.id for entry in chosen), *arriving[: overflow - len(chosen)])

    def load(self) -> None:
        """Everything in memory from the ledger; readers see the old state until the new one is complete."""
        records = list(self.ledger.records())
        by_scope: dict[str, list[tuple[Experience, np.ndarray]]] = {}
        for record in records:
            by_scope.setdefault(record.entry.task, []).append((record.entry, record.vector))
        self.memory = Memory(records, self.ledger.uses())
        self.index.load(by_scope)

    def disagreements(self) -> list[Disagreement]:
        """Between events, rows, memory and index. Needs `writing`."""
        found = audit(self.ledger)
        indexed = {entry.id: entry for scope in self.index.scopes() for entry in self.index.oldest_first(scope)}
        for record in self.ledger.records():
            id_, entry = record.entry.id, indexed.pop(record.entry.id, None)
            if entry is None or id_ not in self.memory.live:
                found.append(Disagreement(id_, "in the ledger, not in the index"))
            elif (counted := self.memory.counted(entry)) != record.entry:
                found.append(Disagreement(id_, f"index: {counted}; ledger: {record.entry}"))
            elif not np.array_equal(self.index.vector(id_), record.vector):
                found.append(Disagreement(id_, "its key vector differs between index and ledger"))
        return found + [Disagreement(id_, "in the index, not in the ledger") for id_ in indexed]
