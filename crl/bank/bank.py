"""The experience bank: a ledger that remembers, an index that finds, one writer, many readers.

One text of one scope is one entry with many origins: written again, it keeps what is known of it. Its key is the
normalised mean of the situations (the query texts of the episodes) that it was written for, never its own prose; a merge
counts as one writing, for the mean of its parents' keys. So it stays in the region of embedding space where queries are.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from crl.bank.audit import Disagreement, audit, audit_memory
from crl.bank.changes import (
    Report,
    adoption,
    merge_cause,
    merge_change,
    operation_cause,
    operation_changes,
    written_by,
)
from crl.bank.connection import writer_lock
from crl.bank.editor import Editor
from crl.bank.effect import Beliefs, Use
from crl.bank.index import EmbeddedIndex
from crl.bank.ledger import Ledger
from crl.bank.projector import Projector
from crl.bank.reads import BankReads
from crl.bank.records import Change, Keyed, Kind, Record, Shown
from crl.bank.snapshot import FILE_NAME as SNAPSHOT_NAME
from crl.bank.snapshot import table_of, write_table
from crl.config.bank import BankConfig
from crl.embedding.protocol import Embedder
from crl.errors import BankError
from crl.extractor.merge import MergeChunk
from crl.replies.refusals import RefusalReason
from crl.replies.screening import TextLimits, screen
from crl.types import Completion, Experience, Operation, OperationKind, Origin, stable_id

MAX_OPERATIONS = 32  # per completion; parsers enforce the configured, lower number
LOCK_TIMEOUT_S = 60.0  # far above any transaction: reaching it means a hung writer


class Bank(BankReads):
    """All mutations go through here, each as one ledger transaction before any reader can see it.

    Searching, `get`, `entries`, `usage` and `effect` take no lock. Everything else may be called from any
    thread and waits for its turn, with a deadline.
    """

    def __init__(
        self, folder: Path, bank_config: BankConfig, embedder: Embedder, *, run_id: str, seed: int,
        one_by_one: bool = True, max_operations: int = MAX_OPERATIONS, lock_timeout_s: float = 30.0,
        follow: Callable[[Path], Projector] | None = None,
    ) -> None:  # fmt: skip
        """Open a bank for writing, created if missing; `one_by_one` embeds reproducibly (lockstep).

        `follow` starts what writes the ledger of a folder to a server. Raises BankError: another process writes to the
        bank, another embedder, no server; DataError: damaged.
        """
        self._run_id, self._config, self._max_operations = run_id, bank_config, max_operations
        self._embed = partial(embedder.embed, one_by_one=one_by_one)
        self._lock = threading.Lock()
        with ExitStack() as closing:
            closing.enter_context(writer_lock(folder, lock_timeout_s))
            self.ledger = Ledger.open(folder, run_id=run_id, embedder=embedder.name, dim=embedder.dim)
            closing.callback(self.ledger.close)
            self.ledger.remember("effect", bank_config.effect.model_dump_json())  # for who reads it without a run
            self.index = EmbeddedIndex(embedder.dim)
            self._editor = Editor(self.ledger, self.index, bank_config, self._embed, seed)
            self.projector = follow(folder) if follow else None
            if self.projector is not None:
                closing.callback(self.projector.close)
            self._closing = closing.pop_all()

    def close(self) -> None:
        with self._closing:
            self.flush()

    # -- reading from the ledger --------------------------------------------------------------------------

    def origins(self, entry_id: str) -> tuple[Origin, ...]:
        """Each time that an entry's text was written, or that of a near duplicate that joined it; oldest first."""
        with self._writing():
            return tuple(writing.origin for writing in self.ledger.writings(self.memory.owner(entry_id)))

    def completion(self, completion_id: str) -> Completion | None:
        """What produced an entry, as sampled; None when it never produced one."""
        with self._writing():
            return self.ledger.completion(completion_id)

    # -- changing the set of entries ----------------------------------------------------------------------

    def apply(
        self, operations: Sequence[Operation], *, scope: str, key_text: str, origin: Origin, completion: Completion
    ) -> Report:
        """Apply one completion's operations, whole or not at all; applying them again does nothing.

        `return` ends the list. An update replaces those targets that still exist and is then an add. A text that is
        known gets one origin more, and comes back if it had left; in quarantine it stays there. Near duplicates
        (`bank.dedup_similarity`) join in the same transaction, and what is too much leaves.
        """
        if len(operations) > self._max_operations:
            raise BankError(
                f"{len(operations)} operations in completion {completion.id}: at most {self._max_operations} may come. "
                "Remedy: the parser must refuse such completions (extractor.distil.max_operations)"
            )
        stop = next((i for i, op in enumerate(operations) if op.kind is OperationKind.RETURN), len(operations))
        refusals = {i: reason for i, op in enumerate(operations[:stop]) if (reason := self._refusal(op.text))}
        accepted = {i: op for i, op in enumerate(operations[:stop]) if i not in refusals}
        refused = tuple(refusals.values())
        vector = self._embed([key_text])[0] if accepted else np.empty(0)
        common = Keyed(Experience("", scope, "", key_text, origin), vector)
        written = written_by(self._run_id, accepted, common)
        self._editor.prepare(scope, written.values())
        with self._writing():
            causes = [operation_cause(self._run_id, completion.id, i) for i in accepted]
            if done := [event for cause in causes if (event := self.ledger.event_of(cause))]:
                added = tuple(self.memory.owner(id_) for event in done for id_, _ in event.added)
                return Report(added, refused=refused, again=True)
            changes = operation_changes(self._run_id, accepted, written, self._editor.standing, self.memory.is_live)
            report = self._editor.commit(changes, completion) if changes else Report()
            vanished = sum(len(set(op.target_ids)) for op in accepted.values()) - len(report.replaced)
            self._editor.tally.update(refused=len(refused), vanished=vanished)
        return replace(report, vanished=vanished, refused=refused)

    def merge(self, chunk: MergeChunk, *, round: int) -> Report:
        """Replace entries by texts, as planned on an earlier state, in one transaction.

        Nothing is done, and the parents stay, when one of them left the bank meanwhile, or a text is refused or in
        quarantine.
        """
        with self._writing():  # for the parents' keys; what is embedded afterwards keeps nobody waiting
            planned = self._merge_change(chunk, round)
        self._editor.prepare(chunk.scope, planned.added if planned else ())
        with self._writing():
            if self.ledger.event_of(merge_cause(self._run_id, chunk.completion.id)):
                return Report(again=True)
            if refused := tuple(reason for text in chunk.texts if (reason := self._refusal(text))):
                return Report(refused=refused)
            change = self._merge_change(chunk, round)
            return self._editor.commit([change], chunk.completion) if change else Report(conflict=True)

    def _merge_change(self, chunk: MergeChunk, round_: int) -> Change | None:
        """None where a parent has left the bank, or a text is in quarantine. Needs `_writing`."""
        memory, index = self.memory, self.index
        if not all(memory.is_live(parent, chunk.scope) for parent in chunk.parent_ids):
            return None
        parents = [Keyed(memory.live[id_], index.vector(id_)) for id_ in chunk.parent_ids]
        return merge_change(self._run_id, chunk, parents, round_, memory.belief, self._editor.standing)

    def adopt(self, records: Sequence[Record], known: Beliefs, source: str) -> int:
        """Write another bank's entries before round 0, with what it believed of them; returns how many texts are refused."""
        fit = [record for record in records if self._refusal(record.entry.text) is None]
        changes, imported = adoption(self._run_id, fit, known, source)
        with self._writing():
            self._editor.inform(imported)
        for change in changes:
            self._editor.prepare(change.scope, change.added)
            with self._writing():
                self._editor.commit([change])
        return len(records) - len(fit)

    def quarantine(self, entry_id: str, reason: str, *, round: int) -> bool:
        """Take an entry out of circulation, for a reason that the ledger keeps. False when it is not in the bank."""
        with self._writing():
            entry = self.memory.live.get(entry_id)
            if entry is not None:
                self._editor.commit([Change(Kind.QUARANTINE, round, entry.task, removed=(entry_id,), detail=reason)])
            return entry is not None

    def retire(self, *, round: int) -> tuple[str, ...]:
        """Quarantine what is known to do harm (`bank.retire`), once the uses of a round are recorded; returns its ids."""
        harmful = self.memory.harmful(self._config.retire)
        for id_, effect in harmful.items():
            self.quarantine(id_, f"{effect} by {effect.groups} groups, {effect.belief.harm:.2%} sure", round=round)
        return tuple(harmful)

    def release(self, entry_id: str, reason: str, *, round: int) -> bool:
        """Bring an entry back into circulation, with all that is known of it. False when it is not in quarantine."""
        with self._writing():
            keyed = self._editor.quarantined(entry_id)
            if keyed is not None:
                self._editor.commit([Change(Kind.RELEASE, round, keyed.entry.task, placed=(keyed,), detail=reason)])
            return keyed is not None

    def _refusal(self, text: str) -> RefusalReason | None:
        """Experience texts are untrusted, whoever wrote them: they are on their way into a model's prompt."""
        return screen(text, TextLimits(1, self._config.max_entry_chars))

    # -- recording what happened to entries ---------------------------------------------------------------

    def count_shown(self, rows: Sequence[Shown]) -> None:
        """Count showings at once in memory; they reach the ledger before the next write, or with `flush`."""
        self.memory.count_shown(rows)

    def flush(self) -> None:
        """Make all counted showings durable, in one transaction."""
        with self._writing():
            pass

    def record_uses(self, rows: Sequence[Use]) -> None:
        """Add effect rows, see `effect.uses_of`. A row recorded before is skipped.

        Raises BankError when it was recorded with another result.
        """
        with self._writing():
            fresh = [use for use in rows if self.memory.known_use(use) != use]
            for use in fresh:
                if known := self.memory.known_use(use):
                    raise BankError(
                        f"effect row {use}: recorded before as {known}. Remedy: roll the bank back to before that round"
                    )
            if fresh:
                self.ledger.write_uses(fresh, max(use.round for use in fresh))
                self.memory.add_uses(fresh)

    def mark_trained(self, completion_ids: Sequence[str], round: int) -> None:
        """Record that the extractor was trained on these completions; the same call again does nothing."""
        cause = stable_id(self._run_id, "trained", round, *completion_ids)
        with self._writing():
            if completion_ids and self.ledger.event_of(cause) is None:
                self.ledger.write_trained(completion_ids, round, cause)

    # -- state as a whole -----------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """The number of the last event, with everything counted so far: part of a checkpoint."""
        with self._writing():
            return self.ledger.position

    def truncate_to(self, position: int) -> None:
        """Undo every event after `position`, exactly: how a round that did not commit is undone."""
        with self._writing():
            self.ledger.truncate_to(position)
            self._editor.load()

    def snapshot(self, folder: Path) -> str:
        """Write `bank.parquet`, sorted by id; returns its SHA-256: the same content has the same hash."""
        with self._writing():
            table = table_of(list(self.ledger.records()), self.memory, self.ledger.meta("embedder"))
        return write_table(table, folder / SNAPSHOT_NAME)

    def verify(self) -> list[Disagreement]:
        """Every disagreement between the events, the ledger's rows and the index; empty when all is well."""
        with self._writing():
            return audit(self.ledger) + audit_memory(self.ledger, self.memory, self.index)

    def metrics(self) -> dict[str, float]:
        """The size now, and what happened since the last call."""
        with self._writing():
            happened = self._editor.metrics()
        projected = self.projector.metrics() if self.projector else {}
        return {"bank/size": float(len(self))} | happened | projected

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Exclusive, after all showings counted so far have reached the ledger."""
        if not self._lock.acquire(timeout=LOCK_TIMEOUT_S):
            raise BankError(
                f"the bank's writer lock was not free for {LOCK_TIMEOUT_S:g} s. Remedy: look for a hung write, restart"
            )
        try:
            if rows := self.memory.take_shown():
                self.memory.saved(rows, self.ledger.write_shown(rows, max(row.round for row in rows)))
            yield
        finally:
            self._lock.release()
