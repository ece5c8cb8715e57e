"""The ledger's tables, and its rows as values.

`events` numbers every mutation. Every table is append-only and every row carries the number of the event that wrote it, so
undoing everything after an event is a handful of DELETEs. What changes is told by the last of several rows: where an entry
stands by its last row of `states`, whose evidence it shares by its last row of `joins`. No row holds a counter: how often
an entry was shown is counted from `shown`.
"""

import json
import sqlite3
import zlib
from array import array
from collections.abc import Sequence

import numpy as np

from crl.bank.records import Event, Kind, Record, State, Writing
from crl.types import Experience, Origin

SCHEMA_VERSION = 3

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,      -- 1, 2, 3, ... without gaps
    at_s REAL NOT NULL,           -- wall clock: for people, and to tell two events of one number apart, see Ledger.mark
    round INTEGER NOT NULL,
    kind TEXT NOT NULL,           -- see records.Kind
    scope TEXT NOT NULL,          -- '' where an event has none
    cause TEXT UNIQUE,            -- what makes a repeated mutation the same one; NULL: repetition is meant
    added TEXT NOT NULL,          -- JSON [[entry id, digest of its text and of this origin], ...]
    placed TEXT NOT NULL,         -- JSON [entry id, ...]: in the bank from now on, behind all others
    removed TEXT NOT NULL,        -- JSON [entry id, ...]
    detail TEXT NOT NULL          -- policy or reason, for people
);
CREATE INDEX events_by_round ON events (round);

CREATE TABLE entries (            -- one text of one scope
    number INTEGER PRIMARY KEY,   -- order of creation
    id TEXT NOT NULL UNIQUE,
    created_seq INTEGER NOT NULL,
    scope TEXT NOT NULL,
    text TEXT NOT NULL,
    cluster INTEGER NOT NULL      -- of the scope's texts that say nearly the same; 0 unless bank.effect.pooling is cluster
);
CREATE INDEX entries_by_seq ON entries (created_seq);

CREATE TABLE origins (            -- one row each time the text was written
    number INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    entry_id TEXT NOT NULL,
    completion_id TEXT NOT NULL,
    episode TEXT NOT NULL,
    round INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    key_text TEXT NOT NULL,
    vector BLOB NOT NULL,         -- of the key text; float32, little endian
    parents TEXT NOT NULL         -- JSON [entry id, ...]: what it replaced
);
CREATE INDEX origins_by_entry ON origins (entry_id, number);
CREATE INDEX origins_by_seq ON origins (seq);

CREATE TABLE states (             -- the last row of an entry counts
    number INTEGER PRIMARY KEY,   -- of live entries: the order in which they were placed
    seq INTEGER NOT NULL,
    entry_id TEXT NOT NULL,
    state TEXT NOT NULL,          -- see records.State
    key BLOB                      -- what a live one is found by; float32, little endian
);
CREATE INDEX states_by_entry ON states (entry_id, number);
CREATE INDEX states_by_seq ON states (seq);

CREATE TABLE joins (              -- the last row of an entry counts: the one that it joined has its origins and its uses
    seq INTEGER NOT NULL,
    entry_id TEXT NOT NULL,
    into_id TEXT NOT NULL,
    PRIMARY KEY (entry_id, seq)
) WITHOUT ROWID;
CREATE INDEX joins_by_target ON joins (into_id);
CREATE INDEX joins_by_seq ON joins (seq);

CREATE VIEW members AS            -- whose origins, showings and uses an entry has
    SELECT id AS owner_id, id AS entry_id FROM entries UNION ALL SELECT into_id, entry_id FROM joins;

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

CREATE TABLE shown (
    seq INTEGER NOT NULL,
    entry_id TEXT NOT NULL,
    key TEXT NOT NULL,
    round INTEGER NOT NULL,
    probability REAL NOT NULL     -- with which the rule of retrieval chose it
);
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
DELETE FROM origins WHERE seq > :seq;
DELETE FROM states WHERE seq > :seq;
DELETE FROM joins WHERE seq > :seq;
DELETE FROM completions WHERE seq > :seq;
DELETE FROM shown WHERE seq > :seq;
DELETE FROM uses WHERE seq > :seq;
DELETE FROM trainings WHERE seq > :seq;
DELETE FROM events WHERE seq > :seq
"""

# An entry's situation, first origin and parents are those of its own text. The rest is counted over all that joined it.
SELECT_RECORD = """
SELECT entries.id, entries.scope AS task, entries.text, entries.created_seq,
    stands.number, stands.seq AS stands_since, stands.state,
    (SELECT key FROM states WHERE entry_id = entries.id AND key IS NOT NULL ORDER BY number DESC LIMIT 1) AS key,
    (SELECT key_text FROM origins WHERE entry_id = entries.id ORDER BY number DESC LIMIT 1) AS key_text,
    first.completion_id, first.episode, first.round, first.purpose,
    (SELECT group_concat(parents, char(10)) FROM (SELECT parents FROM origins
        WHERE entry_id = entries.id AND parents != '[]' ORDER BY number)) AS parents,
    (SELECT count(*) FROM origins WHERE entry_id IN own) AS written,
    (SELECT count(*) FROM shown WHERE entry_id IN own) AS shown,
    (SELECT coalesce(max(round), -1) FROM shown WHERE entry_id IN own) AS last_shown_round,
    (SELECT coalesce(sum(n_guided), 0) FROM uses WHERE entry_id IN own) AS used,
    (SELECT coalesce(sum(s_guided), 0) FROM uses WHERE entry_id IN own) AS successes
FROM entries
JOIN states AS stands ON stands.number = (SELECT max(number) FROM states WHERE entry_id = entries.id)
JOIN origins AS first ON first.number = (SELECT min(number) FROM origins WHERE entry_id = entries.id)
""".replace("IN own", "IN (SELECT entry_id FROM members WHERE owner_id = entries.id)")


def read_record(row: sqlite3.Row) -> Record:
    parents = [id_ for line in (row["parents"] or "").splitlines() for id_ in json.loads(line)]
    entry = Experience(
        row["id"], row["task"], row["text"], row["key_text"], _origin(row), tuple(dict.fromkeys(parents)),
        row["shown"], row["last_shown_round"], row["written"],
    )  # fmt: skip
    own = ("number", "created_seq", "stands_since", "used", "successes")
    return Record(entry, _vector(row["key"]), State(row["state"]), **{name: row[name] for name in own})


def read_writing(row: sqlite3.Row) -> Writing:
    parents = tuple(json.loads(row["parents"]))
    return Writing(row["seq"], row["entry_id"], _origin(row), row["key_text"], _vector(row["vector"]), parents)


def _origin(row: sqlite3.Row) -> Origin:
    return Origin(row["completion_id"], row["episode"], row["round"], row["purpose"])


def _vector(blob: bytes) -> np.ndarray:
    return np.frombuffer(blob, "<f4")


def read_event(row: sqlite3.Row) -> Event:
    seq, at_s, round_, kind, scope, cause, added, placed, removed, detail = row
    pairs = tuple((id_, digest) for id_, digest in json.loads(added))
    ids = (tuple(json.loads(listed)) for listed in (placed, removed))
    return Event(seq, at_s, round_, Kind(kind), scope, cause, pairs, *ids, detail)


def packed(code: str, values: Sequence[float]) -> bytes:
    return zlib.compress(array(code, values).tobytes(), level=1)


def unpacked(code: str, blob: bytes) -> tuple:
    return tuple(array(code, zlib.decompress(blob)))
