"""Does the ledger agree with itself, and with what a bank has in memory?"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from crl.bank.keys import Keys, direction
from crl.bank.ledger import Ledger
from crl.bank.memory import Memory
from crl.bank.records import Kind, Record, State, body_digest

if TYPE_CHECKING:  # it needs torch, `crl bank verify` does not
    from crl.bank.index import EmbeddedIndex


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two accounts of the same thing that differ."""

    subject: str  # an entry id, or "events"
    detail: str


def audit(ledger: Ledger) -> list[Disagreement]:
    """Every difference between a replay of the events and the rows of entries."""
    found: list[Disagreement] = []
    states: dict[str, State] = {}
    digests: dict[str, list[str]] = defaultdict(list)  # of each time that a text was written
    joined: dict[str, str] = {}
    expected_seq = 0
    for event in ledger.events():
        expected_seq += 1
        if event.seq != expected_seq:
            found.append(Disagreement("events", f"event {event.seq} stands where {expected_seq} should"))
            expected_seq = event.seq
        for id_, digest in event.added:
            digests[id_].append(digest)
        for id_ in event.removed:
            if states.get(id_) is not State.LIVE:
                found.append(Disagreement(id_, f"event {event.seq} removes it, but it was not in the bank"))
            states[id_] = State.QUARANTINED if event.kind is Kind.QUARANTINE else State.GONE
        states |= dict.fromkeys(event.placed, State.LIVE)
        if event.kind is Kind.DEDUP:
            [into] = event.placed
            moved = {id_ for id_, owner in joined.items() if owner in event.removed}
            joined |= dict.fromkeys({*event.removed, *moved}, into)
    told = ledger.joins()
    for record in ledger.records(live_only=False):
        id_ = record.entry.id
        members = [id_, *(other for other, into in told.items() if into == id_)]
        found += _entry_audit(ledger, record, members, digests.pop(id_, []), states.pop(id_, None))
    found += [Disagreement(id_, "the events added it, but it has no row") for id_ in digests]
    differing = {id_ for id_ in joined.keys() | told.keys() if joined.get(id_) != told.get(id_)}
    return found + [
        Disagreement(id_, "it joined another entry by the events than by its rows") for id_ in sorted(differing)
    ]


def _entry_audit(
    ledger: Ledger, record: Record, members: list[str], digests: list[str], state: State | None
) -> Iterator[Disagreement]:
    """One entry against what the events say of it, and its key against the situations that it was written for."""
    entry = record.entry
    writings = list(ledger.writings(entry.id))
    own = [writing for writing in writings if writing.entry_id == entry.id]
    written = (replace(entry, key_text=w.key_text, origin=w.origin, parents=w.parents) for w in own)
    if [body_digest(once, w.vector) for once, w in zip(written, own, strict=True)] != digests:
        yield Disagreement(entry.id, "its text or its origins are not those that the events added")
    if record.state is not state:
        yield Disagreement(entry.id, f"{state or 'never placed'} by the events, {record.state} by its row")
    keys = Keys(lambda id_: [w.vector for w in writings if w.entry_id == id_])
    key = direction([keys.own(id_) for id_ in members], otherwise=record.vector)
    if record.state is State.LIVE and not np.array_equal(key, record.vector):
        yield Disagreement(entry.id, "its key is not the mean of the situations that it was written for")


def audit_memory(ledger: Ledger, memory: Memory, index: "EmbeddedIndex") -> list[Disagreement]:
    """Every difference between the rows of live entries and what readers of the bank see."""
    found: list[Disagreement] = []
    indexed = {entry.id: entry for scope in index.scopes() for entry in index.oldest_first(scope)}
    for record in ledger.records():
        id_, entry = record.entry.id, indexed.pop(record.entry.id, None)
        if entry is None or id_ not in memory.live:
            found.append(Disagreement(id_, "in the ledger, not in the index"))
        elif (counted := memory.counted(entry)) != record.entry:
            found.append(Disagreement(id_, f"index: {counted}; ledger: {record.entry}"))
        elif not np.array_equal(index.vector(id_), record.vector):
            found.append(Disagreement(id_, "its key vector differs between index and ledger"))
    return found + [Disagreement(id_, "in the index, not in the ledger") for id_ in indexed]
