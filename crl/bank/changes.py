"""What a completion changes in the bank: what it adds and replaces, and what has to leave because of that.

An entry leaves when a newer one nearly repeats it, and when the table is then too full. A near duplicate
(`bank.dedup_similarity`) must have both its situation (the key) and its advice (the text) as close as the bound says. Keys
alone, as in the public code, would leave one entry per starting position, whatever the others advise.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from crl.bank.effect import EntryEffect, shrunk_effect
from crl.bank.index import EmbeddedIndex
from crl.bank.memory import Memory
from crl.bank.records import Change, Keyed, Kind
from crl.config.learn import BankConfig
from crl.extractor.merge import MergeChunk
from crl.replies.refusals import RefusalReason
from crl.seeding import stream
from crl.types import Experience, Operation, OperationKind, Origin, stable_id


@dataclass(frozen=True, slots=True)
class Report:
    """What one completion did to the bank."""

    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()  # targets of updates, parents of merged texts
    evicted: tuple[str, ...] = ()  # the table was full
    deduped: tuple[str, ...] = ()  # too close to one of the added
    vanished: int = 0  # targets of updates that were no longer there
    refused: tuple[RefusalReason, ...] = ()
    conflict: bool = False  # a parent had left the bank: nothing was done
    repeated: bool = False  # had been applied before: nothing was done


def entry_id(run_id: str, completion_id: str, index: int) -> str:
    """Of the index-th operation or merged text of a completion."""
    return stable_id(run_id, completion_id, index, "entry")


def operation_cause(run_id: str, completion_id: str, index: int) -> str:
    return stable_id(run_id, completion_id, index, "operation")


def merge_cause(run_id: str, completion_id: str) -> str:
    return stable_id(run_id, completion_id, "merge")


def operation_changes(
    run_id: str, operations: Mapping[int, Operation], common: Keyed, is_live: Callable[[str, str], bool]
) -> list[Change]:
    """One change per operation, by its index; an update replaces those targets that still exist.

    `common` is what the entries of the completion have in common: an entry without id and text.
    """
    scope, origin = common.entry.task, common.entry.origin
    changes: list[Change] = []
    gone: set[str] = set()
    for index, operation in operations.items():
        targets = tuple(id_ for id_ in dict.fromkeys(operation.target_ids) if id_ not in gone and is_live(id_, scope))
        gone.update(targets)
        id_ = entry_id(run_id, origin.completion_id, index)
        entry = replace(common.entry, id=id_, text=operation.text, parents=targets)
        kind = Kind.ADD if operation.kind is OperationKind.ADD else Kind.UPDATE
        cause = operation_cause(run_id, origin.completion_id, index)
        changes.append(Change(kind, origin.round, scope, cause, (Keyed(entry, common.vector),), targets))
    return changes


def merge_change(
    run_id: str, chunk: MergeChunk, parents: Sequence[Keyed], round: int, effects: Mapping[str, EntryEffect]
) -> Change:
    """Parents out, merged texts in: keyed by the parents' mean direction and the best parent's key text."""
    best = max(reversed(parents), key=lambda keyed: shrunk_effect(effects, keyed.entry.id))
    mean = np.mean([keyed.vector for keyed in parents], axis=0, dtype=np.float64)
    norm = np.linalg.norm(mean)
    vector = (mean / norm).astype(np.float32) if norm > 1e-6 else best.vector  # opposite keys have no mean direction
    completion_id = chunk.completion.id
    origin = Origin(completion_id, "", round, "merge")
    added = tuple(
        Keyed(Experience(id_, chunk.scope, text, best.entry.key_text, origin, chunk.parent_ids), vector)
        for index, text in enumerate(chunk.texts)
        if (id_ := entry_id(run_id, completion_id, index))
    )
    return Change(Kind.MERGE, round, chunk.scope, merge_cause(run_id, completion_id), added, chunk.parent_ids)


Embed = Callable[[Sequence[str]], np.ndarray]  # unit vectors [N, D] of texts
_ROUNDING = 1e-6  # of a float32 product of unit vectors: equal entries reach a bound of 1


class Leaving:
    """Keeps the text vector of every entry that it had to compare."""

    def __init__(self, bank_config: BankConfig, embed: Embed, seed: int) -> None:
        self._config, self._embed, self._seed = bank_config, embed, seed
        similarity = bank_config.dedup_similarity
        self._least = None if similarity is None else similarity - _ROUNDING
        self._advice: dict[str, np.ndarray] = {}  # entry id -> unit vector [D] of its text

    def prepare(self, index: EmbeddedIndex, changes: Iterable[Change]) -> None:
        """Embed what will be compared: a model takes its time, and nobody should wait for a lock meanwhile."""
        if self._least is not None:
            for scope, keyed in ((change.scope, keyed) for change in changes for keyed in change.added):
                self._texts([keyed.entry, *index.within(scope, keyed.vector, self._least)])

    def because_of(
        self, changes: Sequence[Change], index: EmbeddedIndex, memory: Memory, position: int
    ) -> list[Change]:
        """What follows from changes of one scope, given oldest first; `position` is the ledger's before them."""
        scope, round_, following = changes[0].scope, changes[0].round, []
        leaving = {id_ for change in changes for id_ in change.removed}
        arriving = [keyed for change in changes for keyed in change.added]
        closest = self._repeated(index, scope, arriving, leaving)
        if closest:
            pairs = ", ".join(f"{old[:8]} to {new[:8]}" for old, new in closest.items())
            detail = f"similarity {self._config.dedup_similarity:g}: {pairs}"
            following.append(Change(Kind.DEDUP, round_, scope, removed=tuple(closest), detail=detail))
        staying = [keyed.entry.id for keyed in arriving if keyed.entry.id not in closest]
        leaving |= closest.keys() - {keyed.entry.id for keyed in arriving}
        overflow = index.count(scope) - len(leaving) + len(staying) - self._config.capacity
        if overflow > 0:
            older = (entry for entry in index.oldest_first(scope) if entry.id not in leaving)
            chosen = self._victims(older, overflow, memory, (self._seed, "evict", scope, position))
            # What just arrived stays, unless the table is too small even for that.
            evicted = (*(entry.id for entry in chosen), *staying[: overflow - len(chosen)])
            following.append(Change(Kind.EVICT, round_, scope, removed=evicted, detail=self._config.evict))
        return following

    def _victims(
        self, candidates: Iterable[Experience], count: int, memory: Memory, seed_parts: tuple[int | str, ...]
    ) -> Sequence[Experience]:
        """`count` of the candidates, which come oldest first.

        fifo: the oldest. lru: the longest unused, counting creation as a use. random: drawn from the stream of
        `seed_parts`. effect: the lowest shrunk effect; unmeasured entries count as 0, so proven harm goes first,
        then the oldest of what nobody measured, and proven help stays.
        """
        match self._config.evict:
            case "fifo":
                return list(islice(candidates, count))
            case "lru":
                return sorted(candidates, key=lambda entry: memory.last_used(entry.id))[:count]
            case "random":
                pool = list(candidates)
                drawn = stream(*seed_parts).choice(len(pool), size=min(count, len(pool)), replace=False)
                return [pool[i] for i in sorted(drawn)]
            case "effect":
                return sorted(candidates, key=lambda entry: shrunk_effect(memory.effects, entry.id))[:count]

    def _repeated(
        self, index: EmbeddedIndex, scope: str, arriving: Sequence[Keyed], leaving: set[str]
    ) -> dict[str, str]:
        """Each entry of the scope, or of those that arrive, that is too close to a newer one -> that newer one.

        The newest of all come first, and only what stays drops others: a chain of near neighbours does not vanish
        behind its newest link. What is `leaving` for another reason neither drops nor is dropped.
        """
        gone: dict[str, str] = {}
        if self._least is None:
            return gone
        for at in reversed(range(len(arriving))):
            new = arriving[at]
            if new.entry.id in gone or new.entry.id in leaving:
                continue
            siblings = [old.entry for old in arriving[:at] if _similarities(old.vector, new.vector) >= self._least]
            older = [
                entry
                for entry in (*index.within(scope, new.vector, self._least), *siblings)
                if entry.id not in gone and entry.id not in leaving
            ]
            vectors = self._texts([new.entry, *older])
            for entry, similarity in zip(older, _similarities(vectors[1:], vectors[0]), strict=True):
                if similarity >= self._least:
                    gone[entry.id] = new.entry.id
        return gone

    def forget(self, ids: Iterable[str]) -> None:
        """These entries left the bank."""
        for id_ in ids:
            self._advice.pop(id_, None)

    def forget_all(self) -> None:
        """The ledger was rolled back: an id may come back with another text."""
        self._advice.clear()

    def _texts(self, entries: Sequence[Experience]) -> np.ndarray:
        """The text vectors [N, D] of entries; each is embedded once. Another thread may `forget` some meanwhile."""
        known = {entry.id: vector for entry in entries if (vector := self._advice.get(entry.id)) is not None}
        if missing := [entry for entry in entries if entry.id not in known]:
            vectors = self._embed([entry.text for entry in missing])
            fresh = {entry.id: vector for entry, vector in zip(missing, vectors, strict=True)}
            known |= fresh
            self._advice |= fresh
        return np.stack([known[entry.id] for entry in entries])


def _similarities(vectors: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of unit vectors [..., D] with another [D], each computed alone: no neighbour and no thread can change a decision."""
    return np.vecdot(vectors.astype(np.float64), other.astype(np.float64))
