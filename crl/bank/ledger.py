"""The durable ledger: one SQLite file (WAL) in which every mutation of the bank is one transaction.

`synchronous=FULL`: a commit returns once it is on the disk, so nothing acknowledged is lost to a kill or a
power cut. It costs about 0.2 ms here; batches of usage counts share one commit.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Literal

from crl.bank.connection import FILE_NAME, connected, faults_told
from crl.bank.effect import Use
from crl.bank.records import Change, Event, Keyed, Kind, Record, Shown, body_digest, fields_of
from crl.bank.schema import (
    SCHEMA,
    SCHEMA_VERSION,
    SELECT_RECORD,
    UNDO_AFTER,
    packed,
    read_event,
    read_record,
    unpacked,
)
from crl.errors import BankError, DataError
from crl.types import Completion


class Ledger:
    """One connection. Writers are serialised by the bank; readers open their own with `read_only`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

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

    # -- writing: each method is one transaction and returns the number of its last event ------------

    def write(self, changes: Sequence[Change], completion: Completion | None = None) -> int:
        """Apply changes of the set of entries; the completion is what produced the added ones."""
        with self._transaction():
            for change in changes:
                seq = self._event(change)
                for id_ in change.removed:
                    self._removed(id_, seq)
                for keyed in change.added:
                    self._insert_entry(keyed, seq)
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
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (seq, time.time(), change.round, change.kind, change.scope, change.cause, added,
             json.dumps(change.removed), change.detail),
        )  # fmt: skip
        return seq

    def _removed(self, id_: str, seq: int) -> None:
        done = self._db.execute("UPDATE entries SET removed_seq = ? WHERE id = ? AND removed_seq IS NULL", (seq, id_))
        if done.rowcount != 1:
            raise BankError(f"entry {id_}: not in the bank, so it cannot be removed. Remedy: check `crl bank verify`")

    def _insert_entry(self, keyed: Keyed, seq: int) -> None:
        fields = fields_of(keyed.entry)
        self._db.execute(
            "INSERT INTO entries (id, created_seq, scope, text, key_text, vector, completion_id, episode, round,"
            " purpose, parents) VALUES (:id, :seq, :task, :text, :key_text, :vector, :completion_id, :episode, :round,"
            " :purpose, :parents)",
            fields
            | {"seq": seq, "vector": keyed.vector.astype("<f4").tobytes(), "parents": json.dumps(fields["parents"])},
        )

    def _insert_completion(self, done: Completion, seq: int) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO completions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (done.id, seq, packed("i", done.prompt_ids), packed("i", done.token_ids), packed("d", done.logprobs),
             done.text.encode("utf-8", "surrogatepass"), done.stop_reason, done.version, done.temperature),
        )  # fmt: skip

    # -- reading --------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """The number of the last event; 0 when there is none."""
        return self._db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]

    def position_after(self, round_: int) -> int:
        """The last event before any later round began to write."""
        row = self._db.execute("SELECT min(seq) - 1 FROM events WHERE round > ?", (round_,)).fetchone()
        return self.position if row[0] is None else row[0]

    def rounds(self) -> tuple[int, int]:
        """The first and the last round that an event is of; (-1, -1) without events."""
        return tuple(
            self._db.execute("SELECT coalesce(min(round), -1), coalesce(max(round), -1) FROM events").fetchone()
        )

    def mark(self, seq: int) -> str:
        """Names an event and with it all history up to it: one that takes its number after a rollback has another mark.

        "0:" before the first event; empty where there is no such event.
        """
        row = self._db.execute("SELECT at_s FROM events WHERE seq = ?", (seq,)).fetchone()
        return f"{seq}:{row[0]!r}" if row else "0:" if seq == 0 else ""

    def touched_after(self, seq: int) -> list[str]:
        """The entries that later events added or removed, or whose counters they changed."""
        query = """SELECT id FROM entries WHERE created_seq > :seq UNION SELECT id FROM entries WHERE removed_seq > :seq
            UNION SELECT entry_id FROM shown WHERE seq > :seq UNION SELECT entry_id FROM uses WHERE seq > :seq"""
        return [id_ for (id_,) in self._db.execute(query, {"seq": seq})]

    def reading(self) -> AbstractContextManager[None]:
        """All reads in the block are of one state, whatever another connection writes meanwhile."""
        return self._transaction("DEFERRED")

    def meta(self, key: str) -> str:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return "" if row is None else row[0]

    def event_of(self, cause: str) -> Event | None:
        row = self._db.execute("SELECT * FROM events WHERE cause = ?", (cause,)).fetchone()
        return None if row is None else read_event(row)

    def events(self, after: int = 0, *, newest_first: bool = False) -> Iterator[Event]:
        order = "DESC" if newest_first else "ASC"
        yield from map(
            read_event, self._db.execute(f"SELECT * FROM events WHERE seq > ? ORDER BY seq {order}", (after,))
        )

    def records(self, *, live_only: bool = True, ids: Sequence[str] | None = None) -> Iterator[Record]:
        """Entries in order of creation: all of them, or those of the ids that there are."""
        live = "removed_seq IS NULL" if live_only else "TRUE"
        named, values = ("TRUE", ()) if ids is None else ("id IN (SELECT value FROM json_each(?))", (json.dumps(ids),))
        query = f"{SELECT_RECORD} WHERE {live} AND {named} ORDER BY number"
        yield from map(read_record, self._db.execute(query, values))

    def record(self, entry_id: str) -> Record | None:
        """By id or by a prefix of it that only one entry has."""
        rows = self._db.execute(f"{SELECT_RECORD} WHERE id GLOB ? LIMIT 2", (entry_id + "*",)).fetchall()
        return read_record(rows[0]) if len(rows) == 1 else None

    def uses(self, entry_id: str | None = None) -> tuple[Use, ...]:
        where, values = ("", ()) if entry_id is None else ("WHERE entry_id = ?", (entry_id,))
        query = f"SELECT entry_id, round, group_index, n_guided, s_guided, n_free, s_free FROM uses {where}"
        return tuple(Use(*row) for row in self._db.execute(f"{query} ORDER BY entry_id, round, group_index", values))

    def completion(self, completion_id: str) -> Completion | None:
        """What produced an entry, as sampled; None when it never produced one."""
        row = self._db.execute("SELECT * FROM completions WHERE id = ?", (completion_id,)).fetchone()
        if row is None:
            return None
        id_, _, prompt, tokens, logprobs, text, stop_reason, version, temperature = row
        return Completion(
            id_, unpacked("i", prompt), unpacked("i", tokens), unpacked("d", logprobs),
            text.decode("utf-8", "surrogatepass"), stop_reason, version, temperature,
        )  # fmt: skip

    def trainings(self, completion_id: str) -> tuple[int, int]:
        """How often a completion was trained on, and the last round of it (-1: never)."""
        query = "SELECT count(*), coalesce(max(round), -1) FROM trainings WHERE completion_id = ?"
        return tuple(self._db.execute(query, (completion_id,)).fetchone())
