"""The durable ledger: one SQLite file (WAL) in which every mutation of the bank is one transaction.

`synchronous=FULL`: a commit returns once it is on the disk, so nothing acknowledged is lost to a kill or a
power cut. It costs about 0.2 ms here; batches of usage counts share one commit.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Literal

from crl.bank.connection import FILE_NAME, connected, faults_told
from crl.bank.effect import Use
from crl.bank.ledger_reads import LedgerReads
from crl.bank.records import Change, Keyed, Kind, Shown, State, body_digest
from crl.bank.schema import SCHEMA, SCHEMA_VERSION, UNDO_AFTER, packed
from crl.errors import BankError, DataError
from crl.types import Completion


class Ledger(LedgerReads):
    """One connection. Writers are serialised by the bank; readers open their own with `read_only`."""

    @classmethod
    def open(cls, folder: Path, *, run_id: str, embedder: str, dim: int) -> "Ledger":
        """Open for writing, created if missing. Raises DataError (other schema), BankError (other embedder)."""
        folder.mkdir(parents=True, exist_ok=True)
        db = connected(folder, "rwc")
        ledger = cls(db)
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            with ledger._transaction():
                for statement in SCHEMA.split(";\n"):
                    db.execute(statement)
                values = {"schema": SCHEMA_VERSION, "run_id": run_id, "embedder": embedder, "dim": dim}
                db.executemany("INSERT INTO meta VALUES (?, ?)", [(key, str(value)) for key, value in values.items()])
        ledger._check_schema(folder)
        if (ledger.meta("embedder"), ledger.meta("dim")) != (embedder, str(dim)):
            raise BankError(
                f"{folder}: its keys were embedded by {ledger.meta('embedder')!r} (dim {ledger.meta('dim')}), not by "
                f"models.embedder = {embedder!r} (dim {dim}). Remedy: use the same embedder, or start a new bank folder"
            )
        return ledger

    @classmethod
    def reopen(cls, folder: Path, *, mode: Literal["rw", "ro"] = "rw") -> "Ledger":
        """Open an existing ledger, whatever its embedder; for writing, unless told otherwise. Raises DataError."""
        if not (folder / FILE_NAME).is_file():
            raise DataError(
                f"{folder / FILE_NAME}: no such ledger. Remedy: pass the folder of a run that has a bank, --run FOLDER"
            )
        ledger = cls(connected(folder, mode))
        ledger._check_schema(folder)
        return ledger

    @classmethod
    def read_only(cls, folder: Path) -> "Ledger":
        """Open for reading, also while another process writes. Raises DataError."""
        return cls.reopen(folder, mode="ro")

    def _check_schema(self, folder: Path) -> None:
        with faults_told(folder):
            found = self.meta("schema")
        if found != str(SCHEMA_VERSION):
            raise DataError(
                f"{folder / FILE_NAME}: schema {found}, this version reads {SCHEMA_VERSION}. "
                "Remedy: use the crl version that wrote it, or start a new bank folder"
            )

    def remember(self, key: str, value: str) -> None:
        """What `meta` tells from now on."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def copy_to(self, other: sqlite3.Connection) -> None:
        """A consistent copy, for a backup."""
        self._db.backup(other)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        self._db.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def reading(self) -> AbstractContextManager[None]:
        """All reads in the block are of one state, whatever another connection writes meanwhile."""
        return self._transaction("DEFERRED")

    # -- writing: each method is one transaction and returns the number of its last event ------------

    def write(
        self, changes: Sequence[Change], completion: Completion | None = None, clusters: Mapping[str, int] | None = None
    ) -> int:
        """Apply changes of the set of entries; the completion is what produced the added ones.

        `clusters` says by id which cluster a new text is in.
        """
        with self._transaction():
            for change in changes:
                seq = self._event(change)
                for keyed in change.added:
                    self._insert_origin(keyed, seq, (clusters or {}).get(keyed.entry.id, 0))
                for id_ in change.removed:
                    self._remove(id_, State.QUARANTINED if change.kind is Kind.QUARANTINE else State.GONE, seq)
                for keyed in change.placed:
                    self._insert_state(keyed.entry.id, State.LIVE, seq, keyed.vector.astype("<f4").tobytes())
                if change.kind is Kind.DEDUP:
                    self._insert_joins(change, seq)
            if completion is not None and any(change.added for change in changes):
                self._insert_completion(completion, self.position)
            return self.position

    def write_shown(self, rows: Sequence[Shown], round_: int) -> int:
        change = Change(Kind.SHOWN, round_, "", detail=f"{len(rows)} shown")
        return self._write_rows(change, "shown", [astuple(row) for row in rows])

    def write_uses(self, rows: Sequence[Use], round_: int) -> int:
        change = Change(Kind.USES, round_, "", detail=f"{len(rows)} rows")
        return self._write_rows(change, "uses", [astuple(row) for row in rows])

    def write_trained(self, completion_ids: Sequence[str], round_: int, cause: str) -> int:
        change = Change(Kind.TRAINED, round_, "", cause, detail=f"{len(completion_ids)} completions")
        return self._write_rows(change, "trainings", [(id_, round_) for id_ in completion_ids])

    def _write_rows(self, change: Change, table: str, rows: Sequence[tuple]) -> int:
        """An event, and rows of a table, whose first column is the event's number."""
        with self._transaction():
            seq = self._event(change)
            places = ", ".join("?" for _ in (seq, *rows[0]))
            self._db.executemany(f"INSERT INTO {table} VALUES ({places})", [(seq, *row) for row in rows])
            return seq

    def truncate_to(self, seq: int) -> None:
        """Undo every event after `seq`, exactly. Raises BankError when the ledger ends before it."""
        if not 0 <= seq <= self.position:
            raise BankError(
                f"position {seq}: the ledger holds events 0 to {self.position}. "
                "Remedy: `crl bank rollback` to a round before it; this bank is behind the checkpoint in use"
            )
        with self._transaction():
            for statement in UNDO_AFTER.split(";\n"):
                self._db.execute(statement, {"seq": seq})

    def _event(self, change: Change) -> int:
        seq = self.position + 1
        added = json.dumps([(keyed.entry.id, body_digest(keyed.entry, keyed.vector)) for keyed in change.added])
        self._db.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (seq, time.time(), change.round, change.kind, change.scope, change.cause, added,
             json.dumps([keyed.entry.id for keyed in change.placed]), json.dumps(change.removed), change.detail),
        )  # fmt: skip
        return seq

    def _remove(self, id_: str, to: State, seq: int) -> None:
        if self.state(id_) is not State.LIVE:
            raise BankError(f"entry {id_}: not in the bank, so it cannot be removed. Remedy: check `crl bank verify`")
        self._insert_state(id_, to, seq)

    def _insert_state(self, id_: str, state: State, seq: int, key: bytes | None = None) -> None:
        self._db.execute("INSERT INTO states (seq, entry_id, state, key) VALUES (?, ?, ?, ?)", (seq, id_, state, key))

    def _insert_origin(self, keyed: Keyed, seq: int, cluster: int) -> None:
        entry, origin = keyed.entry, keyed.entry.origin
        self._db.execute(
            "INSERT OR IGNORE INTO entries (id, created_seq, scope, text, cluster) VALUES (?, ?, ?, ?, ?)",
            (entry.id, seq, entry.task, entry.text, cluster),
        )
        self._db.execute(
            "INSERT INTO origins (seq, entry_id, completion_id, episode, round, purpose, key_text, vector, parents)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (seq, entry.id, origin.completion_id, origin.episode, origin.round, origin.purpose, entry.key_text,
             keyed.vector.astype("<f4").tobytes(), json.dumps(entry.parents)),
        )  # fmt: skip

    def _insert_joins(self, change: Change, seq: int) -> None:
        """What is removed, and all that had joined it, joins what is placed."""
        [into] = change.placed
        self._db.execute(
            "WITH gone AS (SELECT value AS id FROM json_each(:gone)) INSERT INTO joins SELECT :seq, id, :into FROM"
            " (SELECT id FROM gone UNION SELECT entry_id FROM joins WHERE into_id IN gone)",
            {"seq": seq, "into": into.entry.id, "gone": json.dumps(change.removed)},
        )

    def _insert_completion(self, done: Completion, seq: int) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO completions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (done.id, seq, packed("i", done.prompt_ids), packed("i", done.token_ids), packed("d", done.logprobs),
             done.text.encode("utf-8", "surrogatepass"), done.stop_reason, done.version, done.temperature),
        )  # fmt: skip
