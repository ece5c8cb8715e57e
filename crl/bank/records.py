"""The values that the bank keeps, finds and counts."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import numpy as np

from crl.bank.effect import Belief
from crl.types import Experience, Origin


class Kind(StrEnum):
    ADD = "add"  # a text that was not in the bank
    REPEAT = "repeat"  # a text that is in the bank, or in quarantine: one origin more
    UPDATE = "update"
    MERGE = "merge"
    EVICT = "evict"
    DEDUP = "dedup"  # a near duplicate joined another entry
    QUARANTINE = "quarantine"
    RELEASE = "release"
    IMPORT = "import"  # texts of another bank, before round 0
    SHOWN = "shown"
    USES = "uses"
    TRAINED = "trained"


class State(StrEnum):
    """Where an entry stands."""

    LIVE = "live"
    QUARANTINED = "quarantined"  # out of circulation, also if its text is written again, until it is released
    GONE = "gone"  # evicted, replaced or joined; its text brings it back, with all that is known of it


class Keyed(NamedTuple):
    """An entry with its key; in `Change.added` a text as it was written once, with the key of its situation."""

    entry: Experience
    vector: np.ndarray  # float32 [D], of unit length


def fields_of(entry: Experience) -> dict[str, Any]:
    """An entry as it lies in tables: one flat row of plain values."""
    origin = entry.origin
    return {
        "id": entry.id, "task": entry.task, "text": entry.text, "key_text": entry.key_text,
        "completion_id": origin.completion_id, "episode": origin.episode, "round": origin.round,
        "purpose": origin.purpose, "parents": list(entry.parents),
        "shown": entry.shown, "last_shown_round": entry.last_shown_round, "written": entry.written,
    }  # fmt: skip


def entry_of(row: Mapping[str, Any]) -> Experience:
    """The inverse of `fields_of`; what else is in the row is left aside."""
    return Experience(
        row["id"], row["task"], row["text"], row["key_text"],
        Origin(row["completion_id"], row["episode"], row["round"], row["purpose"]),
        tuple(row["parents"]), row["shown"], row["last_shown_round"], row["written"],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One mutation of the set of entries: one event."""

    kind: Kind
    round: int
    scope: str
    cause: str | None = None
    added: tuple[Keyed, ...] = ()  # texts as they were written: an origin each
    placed: tuple[Keyed, ...] = ()  # entries as they are in the bank from now on, behind all others
    removed: tuple[str, ...] = ()  # of a DEDUP: they joined the one that is placed
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    seq: int
    at_s: float
    round: int
    kind: Kind
    scope: str
    cause: str | None
    added: tuple[tuple[str, str], ...]  # (entry id, digest of its text and of this origin)
    placed: tuple[str, ...]
    removed: tuple[str, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One entry was returned to one retrieval."""

    entry_id: str
    key: str  # of the retrieval
    round: int
    probability: float = 1.0  # with which the rule of retrieval chose it


@dataclass(frozen=True, slots=True, eq=False)
class Writing:
    """One time that an entry's text was written, as the ledger holds it."""

    seq: int
    entry_id: str
    origin: Origin
    key_text: str
    vector: np.ndarray  # float32 [D], of the key text
    parents: tuple[str, ...]  # what it replaced


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """An entry as the ledger holds it, live or not."""

    entry: Experience
    vector: np.ndarray  # its key, float32 [D]; of one that is not live the last one
    state: State
    number: int  # of live entries: the order in which they were placed
    created_seq: int
    stands_since: int  # the event that placed it, or took it out
    used: int  # guided episodes that retrieved it, in groups with a control
    successes: int  # among them


def body_digest(entry: Experience, vector: np.ndarray) -> str:
    """Of a text as it was written once: `audit` finds whatever was altered behind the ledger's back."""
    origin = entry.origin
    parts = [entry.id, entry.task, entry.text, entry.key_text, origin.completion_id, origin.episode, origin.round,
             origin.purpose, *entry.parents]  # fmt: skip
    return blake2b(json.dumps(parts).encode() + vector.astype("<f4").tobytes(), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Usage:
    """How often and when an entry was returned by a retrieval."""

    shown: int = 0
    last_round: int = -1
    last_s: float = float("-inf")  # monotonic clock of this process, for `recency_s`

    def after(self, shown: Shown) -> "Usage":
        """With one showing more, now."""
        return Usage(self.shown + 1, max(self.last_round, shown.round), time.monotonic())

    def with_(self, other: "Usage") -> "Usage":
        """Of two entries together."""
        rounds, seconds = (self.last_round, other.last_round), (self.last_s, other.last_s)
        return Usage(self.shown + other.shown, max(rounds), max(seconds))


class Showings:
    """Counts what retrievals return. Readers need no lock: each step is atomic."""

    def __init__(self) -> None:
        self.shown: list[Shown] = []  # in the order of the retrievals
        self.usages: dict[str, Usage] = {}

    def usage(self, entry_id: str) -> Usage:
        return self.usages.get(entry_id, Usage())

    def count_shown(self, rows: Sequence[Shown]) -> None:
        for row in rows:
            self.usages[row.entry_id] = self.usage(row.entry_id).after(row)
        self.shown += rows


class Hit(NamedTuple):
    """An entry that a search found, with its score."""

    entry: Experience
    score: float


class ReadSide(Protocol):
    """What retrieval needs of a `Bank`, of a snapshot of it, or of a vector store."""

    def search(
        self, queries: Mapping[str, np.ndarray], k: int, texts: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, list[list[Hit]]]:
        """For each scope and unit query row [B, D]: the k nearest entries, best first; `texts` are what was embedded."""
        ...

    def usage(self, entry_id: str) -> Usage: ...
    def belief(self, entry_id: str) -> Belief:
        """What is believed of the effect of an entry that a search found."""
        ...

    def count_shown(self, rows: Sequence[Shown]) -> None: ...
    def flush(self) -> None: ...
