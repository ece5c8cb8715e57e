"""Which texts of a scope say nearly the same: leader clustering (Hartigan 1975) of their embeddings, in order of creation.

An entry joins the nearest leader of its scope whose cosine reaches SAME_ADVICE, else it leads a cluster of its own. Labels never
change afterwards, so that what is known of a cluster grows and is not dealt out anew.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from crl.bank.likeness import Embed, similarities

# For all-MiniLM-L6-v2. "Go to open cells first and take the key" lies 0.96 from the same with "leave the key", 0.7 from another
# first half: a cluster is what to expect of a new text, and not what becomes of it once it is measured.
SAME_ADVICE = 0.9


@dataclass(slots=True)
class _Leaders:
    """Of one scope, in order of their labels."""

    texts: list[str] = field(default_factory=list)
    rows: np.ndarray = field(
        default_factory=lambda: np.empty((0, 0), np.float32)
    )  # [capacity, D]; may lag behind the texts
    filled: int = 0


class Clusters:
    """The leaders met so far. `prepare` may be called by many threads, all else by one at a time."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._prepared: dict[str, np.ndarray] = {}  # vectors of texts that will be labelled
        self._leaders: dict[str, _Leaders] = defaultdict(_Leaders)  # by scope

    def load(self, leaders: Iterable[tuple[str, str]]) -> None:
        """(scope, text) of the leaders, each scope's in order of their labels; they are embedded when first needed."""
        self._leaders.clear()
        for scope, text in leaders:
            self._leaders[scope].texts.append(text)

    def prepare(self, texts: Iterable[str]) -> None:
        """Embed what will be labelled: a model takes its time, and nobody should wait for a lock meanwhile."""
        if missing := [text for text in dict.fromkeys(texts) if text not in self._prepared]:
            self._prepared |= zip(missing, self._embed(missing), strict=True)

    def label(self, scope: str, text: str) -> int:
        """The cluster of the scope's next entry."""
        leaders = self._leaders[scope]
        self.prepare([text])
        vector = self._prepared.pop(text)
        if leaders.texts:
            near = similarities(self._vectors(leaders), vector)
            if near[best := int(near.argmax())] >= SAME_ADVICE:
                return best
        leaders.texts.append(text)
        _append(leaders, vector[None])
        return len(leaders.texts) - 1

    def _vectors(self, leaders: _Leaders) -> np.ndarray:
        """[N, D] of all leaders of a scope."""
        if missing := leaders.texts[leaders.filled :]:
            _append(leaders, self._embed(missing))
        return leaders.rows[: leaders.filled]


def _append(leaders: _Leaders, vectors: np.ndarray) -> None:
    """Into rows that double when they are full."""
    need = leaders.filled + len(vectors)
    if need > len(leaders.rows):
        grown = np.empty((max(need, 2 * len(leaders.rows)), vectors.shape[1]), vectors.dtype)
        if leaders.filled:
            grown[: leaders.filled] = leaders.rows[: leaders.filled]
        leaders.rows = grown
    leaders.rows[leaders.filled : need] = vectors
    leaders.filled = need
