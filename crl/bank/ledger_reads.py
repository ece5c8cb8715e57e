"""What a ledger says: everything that is read from it, by whoever has a connection."""

import json
import sqlite3
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from crl.bank.effect import Belief, Use
from crl.bank.posterior import Subject
from crl.bank.records import Event, Record, Shown, State, Writing
from crl.bank.schema import SELECT_RECORD, read_event, read_record, read_writing, unpacked
from crl.config.bank import EffectConfig
from crl.types import Completion


class LedgerReads:
    """The questions that a `Ledger` answers."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

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
        own = " UNION ".join(
            f"SELECT entry_id FROM {table} WHERE seq > :seq" for table in ("origins", "states", "shown", "uses")
        )
        query = f"WITH own AS ({own}) SELECT entry_id FROM own UNION SELECT into_id FROM joins WHERE entry_id IN own"
        return [id_ for (id_,) in self._db.execute(query, {"seq": seq})]

    @property
    def effect_config(self) -> EffectConfig:
        """How the run that wrote it estimates effects."""
        return EffectConfig.model_validate_json(self.meta("effect") or "{}")

    @property
    def imported(self) -> dict[str, Belief]:
        """What an earlier run believed of entries that it had, by id."""
        return {id_: Belief(*values) for id_, values in json.loads(self.meta("imported") or "{}").items()}

    def meta(self, key: str) -> str:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return "" if row is None else row[0]

    def event(self, seq: int) -> Event:
        """Raises ValueError where there is none of that number."""
        [row] = self._db.execute("SELECT * FROM events WHERE seq = ?", (seq,))
        return read_event(row)

    def event_of(self, cause: str) -> Event | None:
        row = self._db.execute("SELECT * FROM events WHERE cause = ?", (cause,)).fetchone()
        return None if row is None else read_event(row)

    def events(self, after: int = 0, *, newest_first: bool = False) -> Iterator[Event]:
        order = "DESC" if newest_first else "ASC"
        yield from map(
            read_event, self._db.execute(f"SELECT * FROM events WHERE seq > ? ORDER BY seq {order}", (after,))
        )

    def records(self, *, live_only: bool = True, ids: Sequence[str] | None = None) -> Iterator[Record]:
        """Entries, those that were placed last at the end: all of them, or those of the ids that there are."""
        live = "stands.state = 'live'" if live_only else "TRUE"
        named, values = ("TRUE", ()) if ids is None else ("id IN (SELECT value FROM json_each(?))", (json.dumps(ids),))
        query = f"{SELECT_RECORD} WHERE {live} AND {named} ORDER BY stands.number"
        yield from map(read_record, self._db.execute(query, values))

    def record(self, entry_id: str) -> Record | None:
        """By id or by a prefix of it that only one entry has."""
        rows = self._db.execute(f"{SELECT_RECORD} WHERE id GLOB ? LIMIT 2", (entry_id + "*",)).fetchall()
        return read_record(rows[0]) if len(rows) == 1 else None

    def state(self, entry_id: str) -> State | None:
        """Where an entry stands; None where there is none of that id."""
        query = "SELECT state FROM states WHERE entry_id = ? ORDER BY number DESC LIMIT 1"
        row = self._db.execute(query, (entry_id,)).fetchone()
        return None if row is None else State(row[0])

    def live_at(self, position: int) -> set[str]:
        """The entries that were in the bank after an event."""
        query = (
            "SELECT entry_id FROM (SELECT entry_id, state, max(number) FROM states WHERE seq <= ? GROUP BY entry_id)"
        )
        return {id_ for (id_,) in self._db.execute(f"{query} WHERE state = 'live'", (position,))}

    def joins(self, *, until: int = sys.maxsize) -> dict[str, str]:
        """Each entry that joined another -> the one that has its origins and its uses; as of an event, oldest join first."""
        query = "SELECT entry_id, into_id, max(seq) AS last FROM joins WHERE seq <= ? GROUP BY entry_id"
        found = self._db.execute(f"{query} ORDER BY last, entry_id", (until,))
        return {entry_id: into_id for entry_id, into_id, _ in found}

    def writings(self, entry_id: str) -> Iterator[Writing]:
        """Each time that the text of an entry was written, or of one that joined it; oldest first."""
        query = (
            "SELECT * FROM origins WHERE entry_id IN (SELECT entry_id FROM members WHERE owner_id = ?) ORDER BY number"
        )
        yield from map(read_writing, self._db.execute(query, (entry_id,)))

    def own_keys(self, entry_id: str) -> Iterator[np.ndarray]:
        """Unit vectors [D] of the situations that an entry's own text was written for, oldest first."""
        query = "SELECT vector FROM origins WHERE entry_id = ? ORDER BY number"
        yield from (np.frombuffer(blob, "<f4") for (blob,) in self._db.execute(query, (entry_id,)))

    def showings(self) -> Iterator[tuple[str, int, int, int]]:
        """Of each entry that was ever shown: its id, how often, the last round and the last event of it."""
        query = "SELECT entry_id, count(*), max(round), max(seq) FROM shown GROUP BY entry_id"
        yield from map(tuple, self._db.execute(query))

    def subjects(self) -> Iterator[Subject]:
        """All entries that ever were, in order of creation, as their effects are estimated."""
        query = (
            "SELECT id, scope, cluster, purpose, parents FROM entries JOIN origins ON origins.number ="
            " (SELECT min(number) FROM origins WHERE entry_id = entries.id) ORDER BY entries.number"
        )
        for id_, scope, cluster, purpose, parents in self._db.execute(query):
            yield Subject(id_, scope, cluster, tuple(json.loads(parents)) if purpose == "merge" else ())

    def leaders(self) -> Iterator[tuple[str, str]]:
        """(scope, text) of the first entry of each cluster, in order of their labels."""
        query = "SELECT scope, text, min(number) FROM entries GROUP BY scope, cluster ORDER BY scope, cluster"
        yield from ((scope, text) for scope, text, _ in self._db.execute(query))

    def shown(self) -> Iterator[Shown]:
        """Every showing, in the order of the retrievals."""
        query = "SELECT entry_id, key, round, probability FROM shown ORDER BY rowid"
        yield from (Shown(*row) for row in self._db.execute(query))

    def uses(self) -> tuple[Use, ...]:
        """As they were recorded, whatever joined since."""
        query = "SELECT entry_id, round, group_index, n_guided, s_guided, n_free, s_free FROM uses"
        return tuple(Use(*row) for row in self._db.execute(f"{query} ORDER BY entry_id, round, group_index"))

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
