"""What has to leave when entries arrive: what is too much for the table, and what a newer entry nearly repeats.

A near duplicate (`bank.dedup_similarity`) must have both its situation (the key) and its advice (the text) as close as the
bound says. Keys alone, as in the public code, would leave one entry per starting position, whatever the others advise.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Literal

import numpy as np

from crl.bank.index import EmbeddedIndex
from crl.bank.records import Change, Keyed
from crl.seeding import stream
from crl.types import Experience

Policy = Literal["fifo", "lru", "random", "effect"]


def victims(
    policy: Policy,
    candidates: Iterable[Experience],
    count: int,
    *,
    last_used: Callable[[str], int],
    effect: Callable[[str], float],
    seed_parts: tuple[int | str, ...],
) -> tuple[Experience, ...]:
    """`count` of the candidates, which come oldest first.

    fifo: the oldest. lru: the longest unused, counting creation as a use. random: drawn from the stream of
    `seed_parts`. effect: the lowest shrunk effect; unmeasured entries count as 0, so proven harm goes first,
    then the oldest of what nobody measured, and proven help stays.
    """
    match policy:
        case "fifo":
            return tuple(islice(candidates, count))
        case "lru":
            return tuple(sorted(candidates, key=lambda entry: last_used(entry.id))[:count])
        case "random":
            pool = list(candidates)
            drawn = stream(*seed_parts).choice(len(pool), size=min(count, len(pool)), replace=False)
            return tuple(pool[i] for i in sorted(drawn))
        case "effect":
            return tuple(sorted(candidates, key=lambda entry: effect(entry.id))[:count])


_ROUNDING = 1e-6  # of a float32 product of unit vectors: equal entries reach a bound of 1


class NearDuplicates:
    """Finds what has to leave when entries arrive. Keeps the text vector of every entry that it had to compare."""

    def __init__(self, similarity: float | None, embed: Callable[[Sequence[str]], np.ndarray]) -> None:
        """`embed` turns texts into unit vectors [N, D]; no similarity: nothing is ever a duplicate."""
        self._least = None if similarity is None else similarity - _ROUNDING
        self._embed = embed
        self._advice: dict[str, np.ndarray] = {}  # entry id -> unit vector [D] of its text

    def prepare(self, index: EmbeddedIndex, scope: str, changes: Iterable[Change]) -> None:
        """Embed what `dropped` will compare: a model takes its time, and nobody should wait for a lock meanwhile."""
        if self._least is not None:
            for keyed in (keyed for change in changes for keyed in change.added):
                self._texts([keyed.entry, *index.within(scope, keyed.vector, self._least)])

    def dropped(self, index: EmbeddedIndex, scope: str, arriving: Sequence[Keyed], leaving: set[str]) -> dict[str, str]:
        """Each entry of the scope, or of those that arrive, that is too close to a newer one -> that newer one.

        Args:
            arriving: oldest first, all newer than what the index holds
            leaving: entries that are on their way out for another reason

        The newest of all come first, and only what stays drops others: a chain of near neighbours does not vanish
        behind its newest link.
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
