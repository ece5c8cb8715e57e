"""The ledger's tables, and its rows as values.

`events` is append-only and numbers every mutation. All other rows carry the number of the event that
wrote them, so undoing everything after an event is a handful of DELETEs. Bodies of entries are never
changed or erased by a mutation: leaving the bank sets `removed_seq`. No row holds a counter: how often an
entry was shown is counted from `shown`.
"""

import json
import sqlite3
import zlib
from array import array
from collections.abc import Sequence

import numpy as np

from crl.bank.records import Event, Kind, Record, entry_of

SCHEMA_VERSION = 2

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,      -- 1, 2, 3, ... without gaps
    at_s REAL NOT NULL,           -- wall clock: for people, and to tell two events of one number apart, see Ledger.mark
    round INTEGER NOT NULL,
    kind TEXT NOT NULL,           -- see records.Kind
    scope TEXT NOT NULL,          -- '' where an event has none
    cause TEXT UNIQUE,            -- what makes a repeated mutation the same one; NULL: repetition is meant
    added TEXT NOT NULL,          -- JSON [[entry id, digest of its body], ...]
    removed TEXT NOT NULL,        -- JSON [entry id, ...]
    detail TEXT NOT NULL          -- policy or reason, for people
);
CREATE INDEX events_by_round ON events (round);

CREATE TABLE entries (
    number INTEGER PRIMARY KEY,   -- order of creation
    id TEXT NOT NULL UNIQUE,
    created_seq INTEGER NOT NULL,
    removed_seq INTEGER,          -- NULL while it is in the bank
    scope TEXT NOT NULL,
    text TEXT NOT NULL,
    key_text TEXT NOT NULL,
    vector BLOB NOT NULL,         -- float32, little endian
    completion_id TEXT NOT NULL,
    episode TEXT NOT NULL,
    round INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    parents TEXT NOT NULL         -- JSON [entry id, ...]
);
CREATE INDEX entries_live ON entries (scope, number) WHERE removed_seq IS NULL;
CREATE INDEX entries_by_seq ON entries (created_seq);
CREATE INDEX entries_by_removal ON entries (removed_seq) WHERE removed_seq IS NOT NULL;

CREATE TABLE completions (        -- what produced the entries: training samples of the extractor
    id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    prompt_ids BLOB NOT NULL,     -- int32, zlib
    token_ids BLOB NOT NULL,      -- int32, zlib
    logprobs BLOB NOT NULL,       -- float64, zlib: bit-exact
    text BLOB NOT NULL,           -- UTF-8 with lone surrogates allowed: it is model output
    stop_reason TEXT NOT NULL,
    version INTEGER NOT NULL,
    temperature REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX completions_by_seq ON completions (seq);

CREATE TABLE shown (seq INTEGER NOT NULL, entry_id TEXT NOT NULL, key TEXT NOT NULL, round INTEGER NOT NULL);
CREATE INDEX shown_by_entry ON shown (entry_id, round, seq);
CREATE INDEX shown_by_seq ON shown (seq);

CREATE TABLE uses (               -- one row of effect.Use: see there
    seq INTEGER NOT NULL,
    entry_id TEXT NOT NULL,
    round INTEGER NOT NULL,
    group_index INTEGER NOT NULL,
    n_guided INTEGER NOT NULL,
    s_guided INTEGER NOT NULL,
    n_free INTEGER NOT NULL,
    s_free INTEGER NOT NULL,
    PRIMARY KEY (entry_id, round, group_index)
) WITHOUT ROWID;
CREATE INDEX uses_by_seq ON uses (seq);

CREATE TABLE trainings (seq INTEGER NOT NULL, completion_id TEXT NOT NULL, round INTEGER NOT NULL);
CREATE INDEX trainings_by_completion ON trainings (completion_id);
CREATE INDEX trainings_by_seq ON trainings (seq);
"""

UNDO_AFTER = """
DELETE FROM entries WHERE created_seq > :seq;
UPDATE entries SET removed_seq = NULL WHERE removed_seq > :seq;
DELETE FROM completions WHERE seq > :seq;
DELETE FROM shown WHERE seq > :seq;
DELETE FROM uses WHERE seq > :seq;
DELETE FROM trainings WHERE seq > :seq;
DELETE FROM events WHERE seq > :seq
"""

SELECT_RECORD = """
SELECT *, scope AS task,
    (SELECT count(*) FROM shown WHERE entry_id = entries.id) AS shown,
    (SELECT coalesce(max(round), -1) FROM shown WHERE entry_id = entries.id) AS last_shown_round,
    (SELECT coalesce(max(seq), 0) FROM shown WHERE entry_id = entries.id) AS last_shown_seq,
    (SELECT coalesce(sum(n_guided), 0) FROM uses WHERE entry_id = entries.id) AS used,
    (SELECT coalesce(sum(s_guided), 0) FROM uses WHERE entry_id = entries.id) AS successes
FROM entries"""


def read_record(row: sqlite3.Row) -> Record:
    entry = entry_of({**row, "parents": json.loads(row["parents"])})
    own = ("number", "created_seq", "removed_seq", "last_shown_seq", "used", "successes")
    return Record(entry, np.frombuffer(row["vector"], "<f4"), **{name: row[name] for name in own})


def read_event(row: sqlite3.Row) -> Event:
    seq, at_s, round_, kind, scope, cause, added, removed, detail = row
    pairs = tuple((id_, digest) for id_, digest in json.loads(added))
    return Event(seq, at_s, round_, Kind(kind), scope, cause, pairs, tuple(json.loads(removed)), detail)


def packed(code: str, values: Sequence[float]) -> bytes:
    return zlib.compress(array(code, values).tobytes(), level=1)


def unpacked(code: str, blob: bytes) -> tuple:
    return tuple(array(code, zlib.decompress(blob)))
