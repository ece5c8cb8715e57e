"""The experience bank: a ledger that remembers, an index that finds, one writer, many readers.

Key policy: an entry is found by the situation it came from (the query text of its episode), never by its
own prose. A merged entry's key is the normalised mean of its parents' keys, so it stays in the region of
embedding space where queries are, with the key text of its best parent.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from crl.bank.audit import Disagreement
from crl.bank.changes import (
    AppliedReport,
    Left,
    MergeReport,
    MergeStep,
    Refusal,
    Template,
    id_of,
    merge_cause,
    merge_change,
    operation_cause,
    operation_changes,
    refusal_of,
)
from crl.bank.effect import EntryEffect, Use
from crl.bank.index import EmbeddedIndex
from crl.bank.leaving import NearDuplicates
from crl.bank.ledger import Ledger, writer_lock
from crl.bank.projector import Projector
from crl.bank.records import Change, Hit, Keyed, Kind, Origination, Shown, Usage
from crl.bank.snapshot import FILE_NAME as SNAPSHOT_NAME
from crl.bank.snapshot import table_of, write_table
from crl.bank.store import Store
from crl.config.learn import BankConfig
from crl.embedding.protocol import Embedder
from crl.errors import BankError
from crl.types import Completion, Experience, Operation, OperationKind, Origin, stable_id

MAX_OPERATIONS = 32  # per completion; parsers enforce the configured, lower number
SHARED_SCOPE = "shared"
Embed = Callable[[Sequence[str]], np.ndarray]  # unit vectors [N, D] of texts
_MUTATIONS = ("add", "update", "merge", "evict", "dedup", "quarantine", "refused", "vanished")


class Bank:
    """All mutations go through here, each as one ledger transaction before any reader can see it.

    Searching, `get`, `entries`, `usage` and `effect` take no lock. Everything else may be called from any
    thread and waits for its turn, with a deadline.
    """

    def __init__(
        self, store: Store, config: BankConfig, embed: Embed, projector: Projector | None, closing: ExitStack, *,
        run_id: str, max_operations: int,
    ) -> None:  # fmt: skip
        self.run_id = run_id
        self._store, self._config, self._embed, self._projector = store, config, embed, projector
        self._closing, self._max_operations = closing, max_operations

    @classmethod
    def open(
        cls, folder: Path, bank_config: BankConfig, embedder: Embedder, *, run_id: str, seed: int,
        one_by_one: bool = True, max_operations: int = MAX_OPERATIONS, lock_timeout_s: float = 30.0,
        follow: Callable[[Path], Projector] | None = None,
    ) -> "Bank":  # fmt: skip
        """Open a bank for writing, created if missing; `one_by_one` embeds reproducibly (lockstep).

        `follow` starts what writes the ledger of a folder to a server. Raises BankError: another process writes to the
        bank, another embedder, no server; DataError: damaged.
        """
        with ExitStack() as closing:
            closing.callback(writer_lock(folder, lock_timeout_s).release)
            ledger = Ledger.open(folder, run_id=run_id, embedder=embedder.name, dim=embedder.dim)
            closing.callback(ledger.close)
            embed = partial(embedder.embed, one_by_one=one_by_one)
            duplicates = NearDuplicates(bank_config.dedup_similarity, embed)
            store = Store(ledger, EmbeddedIndex(embedder.dim), bank_config, seed, duplicates)
            projector = follow(folder) if follow else None
            if projector is not None:
                closing.callback(projector.close)
            return cls(
                store, bank_config, embed, projector, closing.pop_all(), run_id=run_id, max_operations=max_operations
            )

    def close(self) -> None:
        with self._closing:
            self.flush()

    # -- reading ----------------------------------------------------------------------------------------

    def scope_of(self, task: str) -> str:
        """The table that a task's experiences live in."""
        return task if self._config.scope == "task" else SHARED_SCOPE

    def entry_id(self, completion_id: str, index: int) -> str:
        """The id that the index-th operation or merged text of a completion has or would have."""
        return id_of(self.run_id, completion_id, index)

    def __len__(self) -> int:
        return len(self._store.memory.live)

    def get(self, entry_id: str) -> Experience | None:
        """A live entry with its current counters."""
        memory = self._store.memory
        entry = memory.live.get(entry_id)
        return None if entry is None else memory.counted(entry)

    def entries(self, scope: str | None = None) -> tuple[Experience, ...]:
        """Live entries of one scope or of all, oldest first within each scope."""
        index, memory = self._store.index, self._store.memory
        scopes = index.scopes() if scope is None else (scope,)
        return tuple(memory.counted(entry) for name in scopes for entry in index.oldest_first(name))

    def usage(self, entry_id: str) -> Usage:
        return self._store.memory.usage(entry_id)

    def effect(self, entry_id: str) -> EntryEffect | None:
        """The measured effect; None while no group with a control has retrieved the entry."""
        return self._store.memory.effects.get(entry_id)

    def search(
        self, queries: Mapping[str, np.ndarray], k: int, texts: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, list[list[Hit]]]:
        """For each scope and unit query row [B, D]: the k nearest entries, best first; by vectors, whatever the texts."""
        return self._store.index.search(queries, k)

    def completion(self, completion_id: str) -> Origination | None:
        """What produced an entry, as sampled, and its trainings; None when it never produced one."""
        with self._store.writing():
            return self._store.ledger.origination(completion_id)

    # -- changing the set of entries ----------------------------------------------------------------------

    def apply(
        self,
        operations: Sequence[Operation],
        *,
        scope: str,
        key_text: str,
        origin: Origin,
        completion: Completion,
        round: int,
    ) -> AppliedReport:
        """Apply one completion's operations, whole or not at all; applying them again does nothing.

        `return` ends the list. An update replaces those targets that still exist and is then an add. What an added
        entry nearly repeats (`bank.dedup_similarity`) leaves in the same transaction, and so does what is too much.
        """
        if len(operations) > self._max_operations:
            raise BankError(
                f"{len(operations)} operations in completion {completion.id}: at most {self._max_operations} may come. "
                "Remedy: the parser must refuse such completions (extractor.distil.max_operations)"
            )
        stop = next((i for i, op in enumerate(operations) if op.kind is OperationKind.RETURN), len(operations))
        refusals = {i: refused for i, op in enumerate(operations[:stop]) if (refused := self._refusal(op.text))}
        accepted = {i: op for i, op in enumerate(operations[:stop]) if i not in refusals}
        refused = tuple(refusals.values())
        vector = self._embed([key_text])[0] if accepted else np.empty(0)
        store = self._store
        template = Template(self.run_id, completion.id, scope, round, origin, key_text, vector)
        store.duplicates.prepare(store.index, scope, operation_changes(accepted, template, store.memory.is_live))
        with store.writing():
            causes = [operation_cause(self.run_id, completion.id, i) for i in accepted]
            if done := [event for cause in causes if (event := store.ledger.event_of(cause))]:
                added = tuple(id_ for event in done for id_, _ in event.added)
                return AppliedReport(added, refused=refused, repeated=True)
            changes = operation_changes(accepted, template, store.memory.is_live)
            left = store.commit(scope, changes, round=round, completion=completion) if changes else Left()
            replaced = tuple(id_ for change in changes for id_ in change.removed)
            vanished = sum(len(set(op.target_ids)) for op in accepted.values()) - len(replaced)
            store.tally.update(refused=len(refused), vanished=vanished)
        added = tuple(keyed.entry.id for change in changes for keyed in change.added)
        return AppliedReport(added, replaced, left.evicted, left.deduped, vanished, refused)

    def merge(self, steps: Sequence[MergeStep], *, scope: str, round: int) -> MergeReport:
        """Apply a merge that was planned on an earlier state, step by step, one transaction each.

        A step is dropped, and its parents stay, when one of them left the bank meanwhile or a text is refused.
        """
        report, store = MergeReport(), self._store
        for step in steps:
            with store.lock:  # for the parents' keys; embedding comes after it, before the step's turn to write
                change = self._merge_change(step, scope, round)
            store.duplicates.prepare(store.index, scope, [change] if change else [])
            with store.writing():
                report = self._merge_step(step, scope, round, report)
        return report

    def _merge_step(self, step: MergeStep, scope: str, round_: int, report: MergeReport) -> MergeReport:
        store = self._store
        if store.ledger.event_of(merge_cause(self.run_id, step.completion.id)):
            return replace(report, repeated=report.repeated + 1)
        if not step.texts or any(self._refusal(text) for text in step.texts):
            return replace(report, refused=report.refused + 1)
        change = self._merge_change(step, scope, round_)
        if change is None:
            return replace(report, conflicts=report.conflicts + 1)
        return report.with_step(change, store.commit(scope, [change], round=round_, completion=step.completion))

    def _merge_change(self, step: MergeStep, scope: str, round_: int) -> Change | None:
        """None where a parent has left the bank, or there is none. Needs the store's lock."""
        memory, index = self._store.memory, self._store.index
        if not step.parent_ids or not all(memory.is_live(parent, scope) for parent in step.parent_ids):
            return None
        parents = [Keyed(memory.live[id_], index.vector(id_)) for id_ in step.parent_ids]
        return merge_change(step, parents, self.run_id, scope, round_, memory.shrunk_effect)

    def quarantine(self, entry_id: str, reason: str, *, round: int) -> bool:
        """Take an entry out of circulation, for a reason that the ledger keeps. False when it is not in the bank."""
        with self._store.writing():
            entry = self._store.memory.live.get(entry_id)
            if entry is not None:
                change = Change(Kind.QUARANTINE, round, entry.task, removed=(entry_id,), detail=reason)
                self._store.commit(entry.task, [change], round=round)
            return entry is not None

    # -- recording what happened to entries ---------------------------------------------------------------

    def count_shown(self, rows: Sequence[Shown]) -> None:
        """Count showings at once in memory; they reach the ledger before the next write, or with `flush`."""
        self._store.memory.count_shown(rows)

    def flush(self) -> None:
        """Make all counted showings durable, in one transaction."""
        with self._store.writing():
            pass

    def record_uses(self, rows: Sequence[Use]) -> None:
        """Add effect rows, see `effect.uses_of`. A row recorded before is skipped.

        Raises BankError when it was recorded with another result.
        """
        store = self._store
        with store.writing():
            fresh = [use for use in rows if store.memory.known_use(use) != use]
            for use in fresh:
                if known := store.memory.known_use(use):
                    raise BankError(
                        f"effect row {use}: recorded before as {known}. Remedy: roll the bank back to before that round"
                    )
            if fresh:
                store.ledger.write_uses(fresh, max(use.round for use in fresh))
                store.memory.add_uses(fresh)

    def mark_trained(self, completion_ids: Sequence[str], round: int) -> None:
        """Record that the extractor was trained on these completions; the same call again does nothing."""
        cause = stable_id(self.run_id, "trained", round, *completion_ids)
        with self._store.writing():
            if completion_ids and self._store.ledger.event_of(cause) is None:
                self._store.ledger.write_trained(completion_ids, round, cause)

    # -- state as a whole -----------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """The number of the last event, with everything counted so far: part of a checkpoint."""
        with self._store.writing():
            return self._store.ledger.position

    def truncate_to(self, position: int) -> None:
        """Undo every event after `position`, exactly: how a round that did not commit is undone."""
        with self._store.writing():
            self._store.ledger.truncate_to(position)
            self._store.load()

    def snapshot(self, folder: Path) -> str:
        """Write `bank.parquet`, sorted by id; returns its SHA-256: the same content has the same hash."""
        with self._store.writing():
            entries = [Keyed(record.entry, record.vector) for record in self._store.ledger.records()]
            effects = dict(self._store.memory.effects)
            embedder = self._store.ledger.meta("embedder")
        return write_table(table_of(entries, effects, embedder), folder / SNAPSHOT_NAME)

    def verify(self) -> list[Disagreement]:
        """Every disagreement between the events, the ledger's rows and the index; empty when all is well."""
        with self._store.writing():
            return self._store.disagreements()

    def metrics(self) -> dict[str, float]:
        """The size now, and what happened since the last call."""
        with self._store.writing():
            tally, self._store.tally = self._store.tally, Counter()
        mutations = {f"bank/{name}": float(tally[name]) for name in _MUTATIONS}
        projected = self._projector.metrics() if self._projector else {}
        return {"bank/size": float(len(self))} | mutations | projected

    def _refusal(self, text: str) -> Refusal | None:
        return refusal_of(text, self._config.max_entry_chars)
