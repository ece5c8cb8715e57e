"""Near duplicates (`bank.dedup_similarity`): two entries that say nearly the same become one, with the evidence of both.

An equal text is the same entry whatever its situation. Where texts differ, likeness is a guess, so both the situation (the
key) and the advice (the text) must be as close as the bound says. Keys alone, as in the public code, would leave one entry
per starting position, whatever the others advise. The text that was written more often stays: what is known of it was
measured with it.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from crl.bank.draft import Draft
from crl.bank.index import EmbeddedIndex
from crl.bank.likeness import Embed, similarities
from crl.bank.records import Keyed
from crl.types import Experience

_ROUNDING = 1e-6  # of a float32 product of unit vectors: equal entries reach a bound of 1


class Duplicates:
    """Keeps the text vector of every entry that it had to compare."""

    def __init__(self, similarity: float, embed: Embed) -> None:
        self._similarity, self._embed, self._least = similarity, embed, similarity - _ROUNDING
        self._advice: dict[str, np.ndarray] = {}  # entry id -> unit vector [D] of its text

    def prepare(self, index: EmbeddedIndex, scope: str, written: Iterable[Keyed]) -> None:
        """Embed what will be compared: a model takes its time, and nobody should wait for a lock meanwhile."""
        for entry, vector in written:
            self._texts([entry, *index.within(scope, vector, self._least)])

    def join(self, draft: Draft, index: EmbeddedIndex, scope: str, round_: int) -> None:
        """Join until nothing that the draft places is too close to anything."""
        waiting = list(draft.placed)
        while waiting:
            id_ = waiting.pop(0)
            if id_ not in draft.placed or len(alike := self._alike(draft, index, scope, draft.placed[id_])) == 1:
                continue
            staying = max(alike, key=lambda keyed: keyed.entry.written)
            # What stays draws in what is like itself, not what is like another one that joins it.
            leaving = [keyed for keyed in alike if (keyed.entry.id == id_) != (staying.entry.id == id_)]
            for gone in leaving:
                staying = draft.join(gone, staying, round_, self._similarity)
            waiting.append(staying.entry.id)

    def _alike(self, draft: Draft, index: EmbeddedIndex, scope: str, new: Keyed) -> list[Keyed]:
        """An entry that the draft places, and what is too close to it: first what was there before, the oldest first."""
        others = [
            Keyed(entry, index.vector(entry.id))
            for entry in index.within(scope, new.vector, self._least)
            if entry.id not in draft.gone and entry.id not in draft.placed
        ]
        placed = draft.placed.values()
        others += [keyed for keyed in placed if similarities(keyed.vector, new.vector) >= self._least]
        near = similarities(self._texts([keyed.entry for keyed in others]), self._texts([new.entry])[0]) >= self._least
        return [keyed for keyed, is_near in zip(others, near, strict=True) if is_near]

    def forget(self, ids: Iterable[str]) -> None:
        """These entries left the bank."""
        for id_ in ids:
            self._advice.pop(id_, None)

    def _texts(self, entries: Sequence[Experience]) -> np.ndarray:
        """The text vectors [N, D] of entries; each is embedded once. Another thread may `forget` some meanwhile."""
        known = {entry.id: vector for entry in entries if (vector := self._advice.get(entry.id)) is not None}
        if missing := [entry for entry in entries if entry.id not in known]:
            vectors = self._embed([entry.text for entry in missing])
            fresh = {entry.id: vector for entry, vector in zip(missing, vectors, strict=True)}
            known |= fresh
            self._advice |= fresh
        return np.stack([known[entry.id] for entry in entries])
