"""One whole operation in one scope as it will be: readers see nothing of it before the ledger holds it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from crl.bank.keys import Keys, direction
from crl.bank.memory import Memory
from crl.bank.records import Change, Keyed, Kind, Record, State
from crl.types import Experience


class Draft:
    """Takes the changes of one transaction in their order and tells what the entries that they touch become."""

    def __init__(self, memory: Memory, keys: Keys, record: Callable[[str], Record | None]) -> None:
        """`record` finds in the ledger what is not live; by the id of an entry."""
        self._memory, self._keys, self._record = memory, keys, record
        self._members: dict[str, tuple[str, ...]] = {}
        self._latest: dict[str, Experience] = {}
        self.changes: list[Change] = []
        self.sums: dict[str, np.ndarray] = {}  # of the keys of each text that was written, float64 [D]
        self.placed: dict[str, Keyed] = {}  # what is in the bank then, in this order behind all others
        self.gone: set[str] = set()  # of what was in the bank before: what left

    def take(self, change: Change) -> None:
        """A change with what its texts make of their entries, or one that only removes."""
        for id_ in change.removed:
            self._leave(id_)
        placed = [entry for keyed in change.added if (entry := self._written(keyed))]
        for keyed in (*placed, *change.placed):
            self._place(keyed)
        self.changes.append(replace(change, placed=(*placed, *change.placed)))

    def join(self, gone: Keyed, into: Keyed, round_: int, similarity: float) -> Keyed:
        """The entry that has the origins of both from now on."""
        old, new = gone.entry.id, into.entry.id
        self._members[new] = (*self._members_of(new), *sorted(self._members_of(old)))
        entry = replace(into.entry, written=into.entry.written + gone.entry.written)
        both = Keyed(entry, self._key(new, into.vector))
        detail = f"similarity {similarity:g}: {old[:8]} to {new[:8]}"
        self.take(Change(Kind.DEDUP, round_, entry.task, placed=(both,), removed=(old,), detail=detail))
        return both

    @property
    def replaced_rows(self) -> Sequence[str]:
        """What was in the bank before and is no more, or otherwise."""
        live = self._memory.live
        return sorted(self.gone | {id_ for id_ in self.placed if id_ in live})

    @property
    def growth(self) -> int:
        """How many entries the bank has more then."""
        return sum(id_ not in self._memory.live for id_ in self.placed) - len(self.gone)

    def _leave(self, id_: str) -> None:
        self.placed.pop(id_, None)
        if id_ in self._memory.live:
            self.gone.add(id_)

    def _place(self, keyed: Keyed) -> None:
        id_ = keyed.entry.id
        self.placed.pop(id_, None)
        self.placed[id_] = keyed
        self._latest[id_] = keyed.entry
        self.gone.discard(id_)

    def _written(self, keyed: Keyed) -> Keyed | None:
        """The entry of a text that was written once more; None where it is in quarantine."""
        written, vector = keyed
        self.sums[written.id] = self._own(written.id) + vector.astype(np.float64)
        owner = self._memory.owner(written.id)
        before = self._entry(owner)
        if before is None:
            return Keyed(written, self._key(owner, vector))
        if before is State.QUARANTINED:
            return None
        entry = replace(before, written=before.written + 1)
        if owner == written.id:
            parents = tuple(dict.fromkeys((*before.parents, *written.parents)))
            entry = replace(entry, key_text=written.key_text, parents=parents)
        return Keyed(entry, self._key(owner, vector))

    def _entry(self, id_: str) -> Experience | State | None:
        """An entry as it is before this writing, wherever it stands; None for a new one."""
        if known := self._latest.get(id_) or self._memory.live.get(id_):
            return known
        record = self._record(id_)
        if record is None:
            return None
        return State.QUARANTINED if record.state is State.QUARANTINED else record.entry

    def _members_of(self, id_: str) -> tuple[str, ...]:
        return self._members.get(id_) or self._memory.members(id_)

    def _own(self, id_: str) -> np.ndarray:
        return self.sums[id_] if id_ in self.sums else self._keys.own(id_)

    def _key(self, id_: str, otherwise: np.ndarray) -> np.ndarray:
        return direction([self._own(member) for member in self._members_of(id_)], otherwise)
