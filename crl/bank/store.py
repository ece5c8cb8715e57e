"""Ledger, index and memory of live entries, kept in agreement: the ledger first, then what readers see."""

import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from crl.bank.audit import Disagreement, audit
from crl.bank.changes import Left
from crl.bank.effect import EntryEffect, Use, estimate
from crl.bank.index import EmbeddedIndex
from crl.bank.leaving import NearDuplicates, victims
from crl.bank.ledger import Ledger
from crl.bank.records import Change, Kind, Record, Shown, Usage
from crl.config.learn import BankConfig
from crl.errors import BankError
from crl.types import Completion, Experience

LOCK_TIMEOUT_S = 60.0  # far above any transaction: reaching it means a hung writer


class Memory:
    """A cache of the ledger; readers need no lock, since each dict operation is atomic and values are frozen."""

    def __init__(self, records: Iterable[Record], uses: Sequence[Use]) -> None:
        records = list(records)
        self.live: dict[str, Experience] = {record.entry.id: record.entry for record in records}
        self._usage = {record.entry.id: Usage(record.entry.shown, record.entry.last_shown_round) for record in records}
        # Apart from the usage: the loop's thread counts while the thread that saves notes the event.
        self._last_used = {record.entry.id: record.last_shown_seq or record.created_seq for record in records}
        self._unsaved: deque[Shown] = deque()
        self._uses: dict[str, dict[tuple[int, int], Use]] = {}
        self.effects: dict[str, EntryEffect] = {}
        self.add_uses(uses)

    def committed(self, changes: Sequence[Change], seq: int) -> None:
        """Follow changes that the ledger holds as of event `seq`."""
        for change in changes:
            for id_ in change.removed:
                del self.live[id_]
            for keyed in change.added:
                self.live[keyed.entry.id] = keyed.entry
                self._last_used[keyed.entry.id] = seq

    def is_live(self, entry_id: str, scope: str) -> bool:
        entry = self.live.get(entry_id)
        return entry is not None and entry.task == scope

    # -- showings -----------------------------------------------------------------------------------------

    def usage(self, entry_id: str) -> Usage:
        return self._usage.get(entry_id, Usage())

    def last_used(self, entry_id: str) -> int:
        """The event that recorded its last showing, or else its creation."""
        return self._last_used.get(entry_id, 0)

    def counted(self, entry: Experience) -> Experience:
        """The entry with its current counters."""
        usage = self.usage(entry.id)
        return replace(entry, shown=usage.shown, last_shown_round=usage.last_round)

    def count_shown(self, rows: Sequence[Shown]) -> None:
        for row in rows:
            self._usage[row.entry_id] = self.usage(row.entry_id).after(row)
            self._unsaved.append(row)

    def take_unsaved(self) -> list[Shown]:
        return [self._unsaved.popleft() for _ in range(len(self._unsaved))]

    def saved(self, rows: Sequence[Shown], seq: int) -> None:
        self._last_used.update((row.entry_id, seq) for row in rows)

    # -- effects ------------------------------------------------------------------------------------------

    def known_use(self, use: Use) -> Use | None:
        """What was recorded for the same entry and group."""
        return self._uses.get(use.entry_id, {}).get((use.round, use.group))

    def add_uses(self, uses: Sequence[Use]) -> None:
        for use in uses:
            self._uses.setdefault(use.entry_id, {})[use.round, use.group] = use
        for id_ in {use.entry_id for use in uses}:
            if effect := estimate([use for _, use in sorted(self._uses[id_].items())]):
                self.effects[id_] = effect

    def shrunk_effect(self, entry_id: str) -> float:
        """What entries are ranked by; unmeasured ones count as without effect."""
        effect = self.effects.get(entry_id)
        return 0.0 if effect is None else effect.shrunk


class Store:
    """One writer at a time, from any thread; reading `index` and `memory` takes no lock."""

    memory: Memory

    def __init__(
        self, ledger: Ledger, index: EmbeddedIndex, config: BankConfig, seed: int, duplicates: NearDuplicates
    ) -> None:
        self.ledger, self.index, self.duplicates = ledger, index, duplicates
        self.tally: Counter[str] = Counter()  # mutations since `Bank.metrics` last asked
        self._config, self._seed = config, seed
        self.lock = threading.Lock()  # of all writers
        self.load()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Exclusive, after all showings counted so far have reached the ledger."""
        if not self.lock.acquire(timeout=LOCK_TIMEOUT_S):
            raise BankError(
                f"the bank's writer lock was not free for {LOCK_TIMEOUT_S:g} s. Remedy: look for a hung write, restart"
            )
        try:
            if rows := self.memory.take_unsaved():
                self.memory.saved(rows, self.ledger.write_shown(rows, max(row.round for row in rows)))
            yield
        finally:
            self.lock.release()

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
        self.duplicates.forget_all()

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
