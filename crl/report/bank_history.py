"""What a bank was, round by round: by its ledger, which knows everything, or by snapshots, which is what DVC brings back."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from crl.bank.effect import Belief, Beliefs, EntryEffect
from crl.bank.ledger import Ledger
from crl.bank.memory import Memory
from crl.bank.records import Kind, Record, State, Writing
from crl.bank.snapshot import read_entries, read_records
from crl.types import Experience


class Moment(NamedTuple):
    """The bank at the end of a round: what was in it, and what was measured of that."""

    round: int
    live: frozenset[str]
    effects: Mapping[str, EntryEffect]


class Left(NamedTuple):
    """When and why an entry left the bank; `why` is empty where only snapshots tell."""

    round: int
    why: str


class Known(NamedTuple):
    """What is known of one entry now, or was when it was last seen."""

    effect: EntryEffect | None
    belief: Belief  # measured or not


@dataclass(frozen=True)
class History:
    """All entries that ever were. The ids in writings and joins may be of entries that no snapshot has."""

    source: str  # "ledger" | "snapshots"
    embedder: str
    records: Sequence[Record]  # those in the bank with their keys
    known: Mapping[str, Known]
    writings: Mapping[str, Sequence[Writing]]  # of an entry's own text, oldest first; by snapshots the first one alone
    joins: Sequence[tuple[str, str, int]]  # a near duplicate, the entry that it joined, the round
    left: Mapping[str, Left]
    moments: Sequence[Moment]

    @classmethod
    def of_ledger(cls, folder: Path) -> "History":
        """Raises DataError: no ledger, or of another schema."""
        with closing(Ledger.read_only(folder)) as ledger, ledger.reading():
            records, events = list(ledger.records(live_only=False)), {event.seq: event for event in ledger.events()}
            ids = [record.entry.id for record in records]
            gone = [record for record in records if record.state is not State.LIVE]
            moments = tuple(_moments(ledger))
            return cls(
                source="ledger",
                embedder=ledger.meta("embedder"),
                records=records,
                known=_known(ids, Memory.read(ledger, (r for r in records if r.state is State.LIVE))),
                writings={id_: [each for each in ledger.writings(id_) if each.entry_id == id_] for id_ in ids},
                joins=[
                    (id_, event.placed[0], event.round)
                    for event in events.values() if event.kind is Kind.DEDUP for id_ in event.removed
                ],
                left={
                    record.entry.id: Left(event.round, f"{event.kind} {event.detail}".strip())
                    for record in gone for event in [events[record.stands_since]]
                },
                moments=moments,
            )  # fmt: skip

    @classmethod
    def of_snapshots(cls, files: Mapping[int | None, Path]) -> "History":
        """Snapshots by round; None: of a file that is of no known round. Raises DataError."""
        seen: dict[str, Experience] = {}
        known: dict[str, Known] = {}
        left: dict[str, Left] = {}
        moments: list[Moment] = []
        for named, file in sorted(files.items(), key=lambda item: item[0] or 0):
            entries, told = read_entries(file)
            round_ = _last_round(entries) if named is None else named
            live = frozenset(entry.id for entry in entries)
            before = moments[-1].live if moments else frozenset()
            left |= dict.fromkeys(before - live, Left(round_, ""))
            seen |= {entry.id: entry for entry in entries}
            known |= _known(live, told)
            moments.append(Moment(round_, live, told.effects))
        records, _, embedder = read_records(files[max(files, key=lambda each: each or 0)])
        now = {record.entry.id for record in records}
        nothing = np.empty(0, np.float32)
        return cls(
            source="snapshots",
            embedder=embedder,
            records=[
                *(Record(seen[id_], nothing, State.GONE, 0, 0, 0, 0, 0) for id_ in sorted(seen.keys() - now)),
                *records,
            ],
            known=known,
            writings={
                id_: [Writing(0, id_, entry.origin, entry.key_text, nothing, entry.parents)]
                for id_, entry in seen.items()
            },
            joins=(),
            left={id_: each for id_, each in left.items() if id_ not in now},
            moments=tuple(moments),
        )

    def situations(self) -> dict[tuple[str, str], np.ndarray]:
        """(task, situation) -> its key, of each situation whose own key is known: a merge has the mean of several.

        So has, in a snapshot, an entry that was written more than once.
        """
        found: dict[tuple[str, str], np.ndarray] = {}
        for record in self.records:
            entry = record.entry
            if self.source == "ledger":
                own = [each for each in self.writings[entry.id] if each.origin.purpose != "merge"]
                found |= {(entry.task, each.key_text): each.vector for each in own}
            elif record.state is State.LIVE and entry.written == 1 and entry.origin.purpose != "merge":
                found[entry.task, entry.key_text] = record.vector
        return dict(sorted(found.items()))


def _moments(ledger: Ledger) -> Iterable[Moment]:
    """As the snapshots of these rounds tell it: by what was recorded and had joined until then."""
    subjects, uses, config = list(ledger.subjects()), ledger.uses(), ledger.effect_config
    for round_ in range(max(0, ledger.rounds()[0]), ledger.rounds()[1] + 1):
        position = ledger.position_after(round_)
        live = frozenset(ledger.live_at(position))
        until = [use for use in uses if use.round <= round_]
        memory = Memory((), ledger.joins(until=position), until, subjects, config)
        effects = {id_: effect for id_ in live if (effect := memory.effect(id_))}
        yield Moment(round_, live, effects)


def _known(ids: Iterable[str], beliefs: Beliefs) -> dict[str, Known]:
    return {id_: Known(beliefs.effect(id_), beliefs.belief(id_)) for id_ in ids}


def _last_round(entries: Sequence[Experience]) -> int:
    """Of the last thing that happened to the entries of a snapshot."""
    return max((max(entry.origin.round, entry.last_shown_round) for entry in entries), default=0)
