"""The values that the bank keeps, finds and counts."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import numpy as np

from crl.types import Experience, Origin


class Kind(StrEnum):
    ADD = "add"
    UPDATE = "update"
    MERGE = "merge"
    EVICT = "evict"
    DEDUP = "dedup"
    QUARANTINE = "quarantine"
    SHOWN = "shown"
    USES = "uses"
    TRAINED = "trained"


class Keyed(NamedTuple):
    """An entry with its key."""

    entry: Experience
    vector: np.ndarray  # float32 [D], of unit length


def fields_of(entry: Experience) -> dict[str, Any]:
    """An entry as it lies in tables: one flat row of plain values."""
    origin = entry.origin
    return {
        "id": entry.id, "task": entry.task, "text": entry.text, "key_text": entry.key_text,
        "completion_id": origin.completion_id, "episode": origin.episode, "round": origin.round,
        "purpose": origin.purpose, "parents": list(entry.parents),
        "shown": entry.shown, "last_shown_round": entry.last_shown_round,
    }  # fmt: skip


def entry_of(row: Mapping[str, Any]) -> Experience:
    """The inverse of `fields_of`; what else is in the row is left aside."""
    return Experience(
        row["id"], row["task"], row["text"], row["key_text"],
        Origin(row["completion_id"], row["episode"], row["round"], row["purpose"]),
        tuple(row["parents"]), row["shown"], row["last_shown_round"],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One mutation of the set of entries: one event."""

    kind: Kind
    round: int
    scope: str
    cause: str | None = None
    added: tuple[Keyed, ...] = ()
    removed: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    seq: int
    at_s: float
    round: int
    kind: Kind
    scope: str
    cause: str | None
    added: tuple[tuple[str, str], ...]  # (entry id, digest of its body)
    removed: tuple[str, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One entry was returned to one retrieval."""

    entry_id: str
    key: str  # of the retrieval
    round: int


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """An entry as the ledger holds it, live or not."""

    entry: Experience
    vector: np.ndarray  # float32 [D]
    number: int
    created_seq: int
    removed_seq: int | None
    last_shown_seq: int
    used: int  # guided episodes that retrieved it, in groups with a control
    successes: int  # among them

    def live_at(self, position: int) -> bool:
        return self.created_seq <= position and (self.removed_seq is None or self.removed_seq > position)


def body_digest(entry: Experience, vector: np.ndarray) -> str:
    """Of all that never changes in an entry: `audit` finds whatever was altered behind the ledger's back."""
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
    def count_shown(self, rows: Sequence[Shown]) -> None: ...
    def flush(self) -> None: ...
