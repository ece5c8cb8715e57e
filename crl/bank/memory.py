"""What the ledger says of entries, at hand: the live ones, who joined whom, their counters and their measured effects."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from crl.bank.effect import Belief, EntryEffect, Use
from crl.bank.ledger import Ledger
from crl.bank.posterior import Posterior, Subject, estimate, with_earlier
from crl.bank.records import Change, Kind, Record, Showings, Shown, Usage
from crl.config.bank import EffectConfig, RetireConfig
from crl.types import Experience


class Memory(Showings):
    """A cache of the ledger; readers need no lock, since each dict operation is atomic and values are frozen.

    What is counted stays with the text that it was counted for. Who asks for an entry gets it together with that of all
    that joined it.
    """

    def __init__(
        self, records: Iterable[Record], joins: Mapping[str, str], uses: Sequence[Use], subjects: Iterable[Subject],
        config: EffectConfig,
    ) -> None:  # fmt: skip
        """`joins`: each entry that joined another -> that one, oldest join first. `subjects`: all entries ever."""
        super().__init__()
        self.live: dict[str, Experience] = {}
        # Apart from the usage: the loop's thread counts while the thread that saves notes the event.
        self._last_used: dict[str, int] = {}
        for record in records:
            self.live[record.entry.id] = record.entry
            self._last_used[record.entry.id] = record.stands_since
        self._joined: dict[str, str] = {}
        self._members: dict[str, tuple[str, ...]] = {}
        for id_, into in joins.items():
            self._join(id_, into)
        self._config = config
        self.imported: Mapping[str, Belief] = {}  # what an earlier run believed; no evidence of this one
        self._subjects = {subject.id: subject for subject in subjects}
        self._uses: dict[str, dict[tuple[int, int], Use]] = defaultdict(dict)
        self.posterior: Posterior  # as of the last uses, or the last join
        self.add_uses(uses)

    @classmethod
    def read(cls, ledger: Ledger, records: Iterable[Record]) -> "Memory":
        """Of the ledger as it is; `records` are its live entries."""
        config = ledger.effect_config
        memory = cls(records, ledger.joins(), ledger.uses(), ledger.subjects(), config)
        memory.imported = ledger.imported
        for id_, shown, last_round, last_seq in ledger.showings():
            memory.usages[id_] = Usage(shown, last_round)
            memory._last_used[id_] = max(memory._last_used.get(id_, 0), last_seq)
        return memory

    def committed(self, changes: Sequence[Change], seq: int, clusters: Mapping[str, int]) -> None:
        """Follow changes that the ledger holds as of event `seq`; `clusters` are those of the new texts."""
        for change in changes:
            for entry, _ in change.added:
                if entry.id not in self._subjects:
                    self._subjects[entry.id] = Subject.of(entry, clusters[entry.id])
            for id_ in change.removed:
                del self.live[id_]
            for keyed in change.placed:
                self.live[keyed.entry.id] = keyed.entry
                self._last_used[keyed.entry.id] = seq
            if change.kind is Kind.DEDUP:
                [into] = change.placed
                for id_ in change.removed:
                    self._join(id_, into.entry.id)
        if any(change.kind is Kind.DEDUP for change in changes):
            self._estimate()

    def is_live(self, entry_id: str, scope: str) -> bool:
        entry = self.live.get(entry_id)
        return entry is not None and entry.task == scope

    # -- joins ----------------------------------------------------------------------------------------------

    def owner(self, entry_id: str) -> str:
        """The entry that it joined, or itself."""
        return self._joined.get(entry_id, entry_id)

    def members(self, entry_id: str) -> tuple[str, ...]:
        """An entry, and all that joined it."""
        return self._members.get(entry_id, (entry_id,))

    def _join(self, entry_id: str, into: str) -> None:
        moving = sorted(self._members.pop(entry_id, (entry_id,)))
        self._members[into] = (*self.members(into), *moving)
        self._joined.update(dict.fromkeys(moving, into))

    # -- showings -----------------------------------------------------------------------------------------

    def usage(self, entry_id: str) -> Usage:
        members = self._members.get(self.owner(entry_id))
        if members is None:
            return super().usage(entry_id)
        usage = Usage()
        for id_ in members:
            usage = usage.with_(super().usage(id_))
        return usage

    def count_shown(self, rows: Sequence[Shown]) -> None:
        for row in rows:
            self.usages[row.entry_id] = super().usage(row.entry_id).after(row)
        self.shown += rows

    def last_used(self, entry_id: str) -> int:
        """The last event that showed it or placed it."""
        return max(self._last_used.get(id_, 0) for id_ in self.members(entry_id))

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
        """What was recorded for the same text and group."""
        return self._uses.get(use.entry_id, {}).get((use.round, use.group))

    def add_uses(self, uses: Sequence[Use]) -> None:
        for use in uses:
            self._uses[use.entry_id][use.round, use.group] = use
        self._estimate()

    def is_known(self, entry_id: str) -> bool:
        """Whether the text was ever written."""
        return entry_id in self._subjects

    def effect(self, entry_id: str) -> EntryEffect | None:
        """By this run's evidence alone."""
        return self.posterior.effects.get(self.owner(entry_id))

    def belief(self, entry_id: str) -> Belief:
        owner = self.owner(entry_id)
        belief = self.posterior.beliefs.get(owner) or self.posterior.prior(self._subject(owner))
        if not self.imported:  # nearly always: retrieval asks for each candidate
            return belief
        earlier = next((self.imported[id_] for id_ in self.members(owner) if id_ in self.imported), None)
        return belief if earlier is None else with_earlier(belief, earlier)

    def harmful(self, config: RetireConfig) -> dict[str, EntryEffect]:
        """Live entries whose effect is negative for certain."""
        if config.certainty is None:
            return {}
        effects = {id_: effect for id_ in self.live if (effect := self.effect(id_))}
        return {id_: e for id_, e in effects.items() if e.groups >= config.groups and e.belief.harm > config.certainty}

    def helpful(self, certainty: float | None) -> dict[str, EntryEffect]:
        """Live entries whose effect is positive for certain; None: none is."""
        effects = {id_: effect for id_ in self.live if (effect := self.effect(id_))} if certainty else {}
        return {id_: effect for id_, effect in effects.items() if 1 - effect.belief.harm > certainty}

    def uses(self, entry_id: str) -> list[Use]:
        """Of an entry and all that joined it: one per group, in order.

        An episode that retrieved two texts which were joined later counts twice in its group's rate.
        """
        of_group: dict[tuple[int, int], Use] = {}
        for id_ in self.members(entry_id):
            for group, use in self._uses.get(id_, {}).items():
                of_group[group] = _together(of_group[group], use) if group in of_group else use
        return [replace(use, entry_id=entry_id) for _, use in sorted(of_group.items())]

    def _subject(self, owner: str) -> Subject:
        subject = self._subjects[owner]
        return subject._replace(parents=tuple({self.owner(parent): None for parent in subject.parents}))

    def _estimate(self) -> None:
        """From what was used alone: entries that nobody used yet change nothing, whether they are here or not yet."""
        used = sorted({self.owner(id_) for id_ in self._uses if id_ in self._subjects})
        uses = [use for owner in used for use in self.uses(owner)]
        self.posterior = estimate(
            [self._subject(owner) for owner in used],
            uses,
            round=max((use.round for use in uses), default=0),
            half_life_rounds=self._config.half_life_rounds,
            pooling=self._config.pooling,
        )


def _together(one: Use, other: Use) -> Use:
    """What one group says about two texts that are one entry."""
    return replace(one, n_guided=one.n_guided + other.n_guided, s_guided=one.s_guided + other.s_guided)
