"""Changes as they are made: one ledger transaction, then the index and the memory, which are what readers see."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from crl.bank.changes import Report
from crl.bank.clusters import Clusters
from crl.bank.draft import Draft
from crl.bank.duplicates import Duplicates
from crl.bank.effect import Belief
from crl.bank.evict import make_room
from crl.bank.index import EmbeddedIndex
from crl.bank.keys import Keys, direction
from crl.bank.ledger import Ledger
from crl.bank.likeness import Embed
from crl.bank.memory import Memory
from crl.bank.records import Change, Keyed, Kind, Record, State
from crl.config.bank import BankConfig
from crl.types import Completion

COUNTED = ("add", "repeat", "update", "merge", "evict", "dedup", "quarantine", "release", "refused", "vanished")


class Editor:
    """Used by one thread at a time, which holds the bank's lock; `prepare` needs no lock."""

    memory: Memory  # replaced as a whole

    def __init__(self, ledger: Ledger, index: EmbeddedIndex, config: BankConfig, embed: Embed, seed: int) -> None:
        self.ledger, self.index, self._config, self._seed = ledger, index, config, seed
        self.tally: Counter[str] = Counter()  # changes since somebody emptied it
        self._keys = Keys(ledger.own_keys)
        similarity = config.dedup_similarity
        self._duplicates = None if similarity is None else Duplicates(similarity, embed)
        self._clusters = Clusters(embed) if config.effect.pooling == "cluster" else None
        self.load()

    def load(self) -> None:
        """Everything in memory from the ledger; readers see the old state until the new one is complete."""
        records = list(self.ledger.records())
        self.memory = Memory.read(self.ledger, records)
        self.index.load(records)
        self._keys.forget_all()
        if self._clusters is not None:
            self._clusters.load(self.ledger.leaders())

    def standing(self, entry_id: str) -> tuple[str, State | None]:
        """The entry that has a text, and where it stands; by the text's id."""
        owner = self.memory.owner(entry_id)
        return owner, State.LIVE if owner in self.memory.live else self.ledger.state(owner)

    def quarantined(self, entry_id: str) -> Keyed | None:
        """An entry that is in quarantine, as it would come back."""
        if self.memory.owner(entry_id) != entry_id or self.ledger.state(entry_id) is not State.QUARANTINED:
            return None
        record = self._record(entry_id)
        sums = [self._keys.own(id_) for id_ in self.memory.members(entry_id)]
        return Keyed(record.entry, direction(sums, otherwise=record.vector))

    def inform(self, imported: Mapping[str, Belief]) -> None:
        """What an earlier run believed of entries, by id."""
        self.ledger.remember("imported", json.dumps(imported))
        self.memory.imported = imported

    def prepare(self, scope: str, written: Iterable[Keyed]) -> None:
        """Embed what will be compared: a model takes its time, and nobody should wait for a lock meanwhile."""
        written = list(written)
        if self._duplicates is not None:
            self._duplicates.prepare(self.index, scope, written)
        if self._clusters is not None:
            self._clusters.prepare(entry.text for entry, _ in written if not self.memory.is_known(entry.id))

    def commit(self, changes: Sequence[Change], completion: Completion | None = None) -> Report:
        """One whole operation in one scope, and what has to leave because of it."""
        scope, round_ = changes[0].scope, changes[0].round
        draft = Draft(self.memory, self._keys, self._record)
        for change in changes:
            draft.take(change)
        if self._duplicates is not None:
            self._duplicates.join(draft, self.index, scope, round_)
        seed_parts = (self._seed, "evict", scope, self.ledger.position)
        make_room(draft, self.index, self.memory, self._config, scope, round_, seed_parts)
        clusters = self._labels(changes)
        seq = self.ledger.write(draft.changes, completion, clusters)
        self._keys.remember(draft.sums)
        self.index.commit(scope, list(draft.placed.values()), draft.replaced_rows)
        self.memory.committed(draft.changes, seq, clusters)
        if self._duplicates is not None:
            self._duplicates.forget(draft.gone)
        return self._told(draft.changes)

    def metrics(self) -> dict[str, float]:
        """What happened since the last call."""
        tally, self.tally = self.tally, Counter()
        return {f"bank/{name}": float(tally[name]) for name in COUNTED}

    def _labels(self, changes: Sequence[Change]) -> dict[str, int]:
        """The cluster of each new text, by its id."""
        labels: dict[str, int] = {}
        for entry in (keyed.entry for change in changes for keyed in change.added):
            if entry.id not in labels and not self.memory.is_known(entry.id):
                labels[entry.id] = self._clusters.label(entry.task, entry.text) if self._clusters else 0
        return labels

    def _record(self, entry_id: str) -> Record | None:
        return next(self.ledger.records(live_only=False, ids=[entry_id]), None)

    def _told(self, changes: Sequence[Change]) -> Report:
        """What changes that were made did."""
        for change in changes:
            self.tally[change.kind] += len(change.added) or len(change.removed) or len(change.placed)
        removed = {kind: tuple(id_ for c in changes if c.kind is kind for id_ in c.removed) for kind in Kind}
        added = tuple(self.memory.owner(keyed.entry.id) for change in changes for keyed in change.added)
        repeated = tuple(self.memory.owner(k.entry.id) for c in changes if c.kind is Kind.REPEAT for k in c.added)
        replaced = tuple(id_ for change in changes if change.added for id_ in change.removed)
        return Report(added, repeated, replaced, removed[Kind.EVICT], removed[Kind.DEDUP])
