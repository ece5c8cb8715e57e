"""Texts to unit vectors, behind one protocol and a cache.

The same situation is embedded when it is looked up and again when the episode that began with it is
distilled, so the cache is shared between the retriever and the bank.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Embedder(Protocol):
    """What turns situations into keys."""

    name: str  # stored in the ledger: vectors of different embedders never mix
    dim: int

    def embed(self, texts: Sequence[str], *, one_by_one: bool = False) -> np.ndarray:
        """L2-normalised float32 [N, D]. `one_by_one`: no row depends on its batch mates, not even in the last bit."""
        ...


class CachedEmbedder:
    """Least-recently-used cache by text around an embedder; safe to share between threads."""

    def __init__(self, inner: Embedder, entries: int) -> None:
        self.inner, self.name, self.dim = inner, inner.name, inner.dim
        self.hits = 0
        self._limit = entries
        self._cache: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str], *, one_by_one: bool = False) -> np.ndarray:
        """[N, D] as the inner embedder gives it; each missing text is embedded once per call."""
        with self._lock:
            known = {text: self._cache[text] for text in texts if text in self._cache}
            for text in known:
                self._cache.move_to_end(text)
            self.hits += sum(text in known for text in texts)
        missing = list(dict.fromkeys(text for text in texts if text not in known))
        if missing:
            fresh = dict(zip(missing, self.inner.embed(missing, one_by_one=one_by_one), strict=True))
            known |= fresh
            with self._lock:
                self._cache |= fresh
                while len(self._cache) > self._limit:
                    self._cache.popitem(last=False)
        return np.stack([known[text] for text in texts]) if texts else np.empty((0, self.dim), np.float32)
