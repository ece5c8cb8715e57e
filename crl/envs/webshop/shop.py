"""A catalogue that can be shopped in: products, search index, digest. Built once per process and kept.

The search is BM25 over the products' texts, with the settings of the original's engine (Lucene's variant).
"""

import logging
from functools import cache, cached_property, lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from crl.envs.optional import load
from crl.envs.webshop.catalogue import CatalogueName, Product, fingerprint
from crl.envs.webshop.generate import generate
from crl.envs.webshop.original import digest, read_products

K1, B = 0.9, 0.4  # Pyserini's defaults for BM25
TOP = 50  # products that a search can show
_SCORE_DECIMALS = 4  # ties are ties on every machine; they are shown in the catalogue's order


@cache
def bm25() -> tuple[ModuleType, Any]:
    """bm25s and an English stemmer, imported when first used. Raises EnvUnavailable."""
    library = load("bm25s", "webshop")
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG and tells of every index
    return library, load("Stemmer", "webshop").Stemmer("english")


class Shop:
    """Products with their index, which is built at the first search."""

    def __init__(self, products: tuple[Product, ...], digest: str) -> None:
        self.products = products
        self.digest = digest  # of the generated products, or of the files that were read
        self.by_id = {product.id: product for product in products}
        # A group of episodes plays one goal and often sends one query.
        self.search = lru_cache(maxsize=512)(self._search)

    @cached_property
    def _index(self) -> Any:
        index = bm25()[0].BM25(method="lucene", k1=K1, b=B, backend="numpy")
        index.index(_tokens([_text(product) for product in self.products]), show_progress=False)
        return index

    def _search(self, query: str) -> tuple[Product, ...]:
        """Up to 50 products, best first; those that share no word with the query are left out."""
        known = [token for token in _tokens(query, return_ids=False)[0] if token in self._index.vocab_dict]
        if not known:
            return ()
        scores = np.round(self._index.get_scores(known).astype(np.float64), _SCORE_DECIMALS)
        best = np.argsort(-scores, kind="stable")[:TOP]
        return tuple(self.products[index] for index in best if scores[index] > 0)


@lru_cache(maxsize=4)
def open_shop(name: CatalogueName) -> Shop:
    """The shop of that name. A user's files are read once per process: restart after changing them."""
    if name.source:
        return Shop(read_products(name.source), digest(name.source))
    products = generate(name.size, name.seed)
    return Shop(products, fingerprint(products))


def _tokens(texts: str | list[str], **form: bool) -> Any:
    library, stemmer = bm25()
    return library.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False, **form)


def _text(product: Product) -> str:
    """As in the original only the first bullet point is searchable: the others must be read."""
    return " ".join((product.title, product.description, *product.bullets[:1], *map(" ".join, product.values)))
