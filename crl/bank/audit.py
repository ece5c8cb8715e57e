"""Does the ledger agree with itself, and with what a bank has in memory?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crl.bank.ledger import Ledger
from crl.bank.memory import Memory
from crl.bank.records import body_digest

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
    live: dict[str, int] = {}
    digests: dict[str, str] = {}
    expected_seq = 0
    for event in ledger.events():
        expected_seq += 1
        if event.seq != expected_seq:
            found.append(Disagreement("events", f"event {event.seq} stands where {expected_seq} should"))
            expected_seq = event.seq
        for id_ in event.removed:
            if live.pop(id_, None) is None:
                found.append(Disagreement(id_, f"event {event.seq} removes it, but it was not in the bank"))
        for id_, digest in event.added:
            if id_ in digests:
                found.append(Disagreement(id_, f"event {event.seq} adds it a second time"))
            live[id_], digests[id_] = event.seq, digest
    for record in ledger.records(live_only=False):
        entry = record.entry
        if digests.pop(entry.id, None) != body_digest(entry, record.vector):
            found.append(Disagreement(entry.id, "its body is not the one that the events added"))
        replayed = live.pop(entry.id, None)
        if (record.removed_seq is None) != (replayed is not None):
            state = "out of" if replayed is None else "in"
            found.append(Disagreement(entry.id, f"{state} the bank by the events, the opposite by its row"))
    found += [Disagreement(id_, "the events added it, but it has no row") for id_ in digests]
    return found


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
