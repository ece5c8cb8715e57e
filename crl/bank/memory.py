"""What the ledger says of entries, at hand: the live ones, their counters and their measured effects."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from crl.bank.effect import EntryEffect, Use, estimate
from crl.bank.records import Change, Record, Showings, Shown, Usage
from crl.types import Experience


class Memory(Showings):
    """A cache of the ledger; readers need no lock, since each dict operation is atomic and values are frozen."""

    def __init__(self, records: Iterable[Record], uses: Sequence[Use]) -> None:
        super().__init__()
        records = list(records)
        self.live: dict[str, Experience] = {record.entry.id: record.entry for record in records}
        self.usages = {record.entry.id: Usage(record.entry.shown, record.entry.last_shown_round) for record in records}
        # Apart from the usage: the loop's thread counts while the thread that saves notes the event.
        self._last_used = {record.entry.id: record.last_shown_seq or record.created_seq for record in records}
        self._uses: dict[str, dict[tuple[int, int], Use]] = {}
        self.effects: dict[str, EntryEffect] = {}
        self.add_uses(uses)

    def committed(self, changes: Sequence[Change], seq: int) -> None:
        """Follow changes that the ledger holds as of event `seq`."""
        for change in changes:
            for id_ in change.removed:
                del self.live[id_]
            for keyed in change.added:
                self.live[keyed.entry.id] = keyed.entry
                self._last_used[keyed.entry.id] = seq

    def is_live(self, entry_id: str, scope: str) -> bool:
        entry = self.live.get(entry_id)
        return entry is not None and entry.task == scope

    # -- showings -----------------------------------------------------------------------------------------

    def last_used(self, entry_id: str) -> int:
        """The event that recorded its last showing, or else its creation."""
        return self._last_used.get(entry_id, 0)

    def counted(self, entry: Experience) -> Experience:
        """The entry with its current counters."""
        usage = self.usage(entry.id)
        return replace(entry, shown=usage.shown, last_shown_round=usage.last_round)

    def take_shown(self) -> list[Shown]:
        """What was counted since the last call; one thread at a time, while others count."""
        rows = self.shown[:]
        del self.shown[: len(rows)]
        return rows

    def saved(self, rows: Sequence[Shown], seq: int) -> None:
        self._last_used.update((row.entry_id, seq) for row in rows)

    # -- effects ------------------------------------------------------------------------------------------

    def known_use(self, use: Use) -> Use | None:
        """What was recorded for the same entry and group."""
        return self._uses.get(use.entry_id, {}).get((use.round, use.group))

    def add_uses(self, uses: Sequence[Use]) -> None:
        for use in uses:
            self._uses.setdefault(use.entry_id, {})[use.round, use.group] = use
        for id_ in {use.entry_id for use in uses}:
            if effect := estimate([use for _, use in sorted(self._uses[id_].items())]):
                self.effects[id_] = effect
