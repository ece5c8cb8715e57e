"""Search over the products' texts: BM25 with the settings of the original's engine (k1 0.9, b 0.4, Lucene's variant)."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from crl.envs.webshop.catalogue import Product
from crl.envs.webshop.packages import bm25

K1, B = 0.9, 0.4  # Pyserini's defaults for BM25
TOP = 50  # products that a search can show
_SCORE_DECIMALS = 4  # ties are ties on every machine; they are shown in the catalogue's order


class Index:
    """What a search finds, best first. The same query gives the same list in every process."""

    def __init__(self, products: Sequence[Product]) -> None:
        self._library, self._stemmer = bm25()
        self._index = self._library.BM25(method="lucene", k1=K1, b=B, backend="numpy")
        self._index.index(self._tokens([_text(product) for product in products]), show_progress=False)
        # A group of episodes plays one goal and often sends one query.
        self.top = lru_cache(maxsize=512)(self._top)

    def _top(self, query: str) -> tuple[int, ...]:
        """Indices of up to 50 products, best first; products that share no word with the query are left out."""
        tokens = self._library.tokenize(
            query, stopwords="en", stemmer=self._stemmer, return_ids=False, show_progress=False
        )[0]
        known = [token for token in tokens if token in self._index.vocab_dict]
        if not known:
            return ()
        scores = np.round(self._index.get_scores(known).astype(np.float64), _SCORE_DECIMALS)
        best = np.argsort(-scores, kind="stable")[:TOP]
        return tuple(int(index) for index in best if scores[index] > 0)

    def _tokens(self, texts: list[str]) -> object:
        return self._library.tokenize(texts, stopwords="en", stemmer=self._stemmer, show_progress=False)


def _text(product: Product) -> str:
    """As in the original only the first bullet point is searchable: the others must be read."""
    options = [f"{option.name} {value.name}" for option in product.options for value in option.values]
    return " ".join((product.title, product.description, *product.bullets[:1], *options))
