"""Which texts of a scope say nearly the same: leader clustering (Hartigan 1975) of their embeddings, in order of creation.

An entry joins the nearest leader of its scope whose cosine reaches SAME_ADVICE, else it leads a cluster of its own. Labels never
change afterwards, so that what is known of a cluster grows and is not dealt out anew.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

# For all-MiniLM-L6-v2. "Go to open cells first and take the key" lies 0.96 from the same with "leave the key", 0.7 from another
# first half: a cluster is what to expect of a new text, and not what becomes of it once it is measured.
SAME_ADVICE = 0.9

Embed = Callable[[Sequence[str]], np.ndarray]  # unit vectors [N, D] of texts


class Clusters:
    """The leaders met so far. `prepare` may be called by many threads, all else by one at a time."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._vectors: dict[str, np.ndarray] = {}  # of leaders, and of texts that were prepared
        self._leaders: dict[str, list[str]] = {}  # by scope, in order of their labels

    def load(self, leaders: Iterable[tuple[str, str]]) -> None:
        """(scope, text) of the leaders, each scope's in order of their labels; they are embedded when first needed."""
        self._leaders = {}
        for scope, text in leaders:
            self._leaders.setdefault(scope, []).append(text)

    def prepare(self, texts: Iterable[str]) -> None:
        """Embed what will be labelled: a model takes its time, and nobody should wait for a lock meanwhile."""
        if missing := [text for text in dict.fromkeys(texts) if text not in self._vectors]:
            self._vectors |= zip(missing, self._embed(missing).astype(np.float64), strict=True)

    def label(self, scope: str, text: str) -> int:
        """The cluster of the scope's next entry."""
        leaders = self._leaders.setdefault(scope, [])
        self.prepare([*leaders, text])
        vector = self._vectors[text]
        # One product at a time: no neighbour in a matrix and no thread can change a decision.
        similarities = [float(np.vecdot(self._vectors[leader], vector)) for leader in leaders]
        best = max(range(len(leaders)), key=similarities.__getitem__, default=-1)
        if best >= 0 and similarities[best] >= SAME_ADVICE:
            if text not in leaders:
                del self._vectors[text]
            return best
        leaders.append(text)
        return len(leaders) - 1
