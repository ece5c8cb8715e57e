"""A catalogue that can be shopped in: products, search index, fingerprint. Built once per process and kept."""

from functools import cached_property, lru_cache

from crl.envs.webshop.catalogue import CatalogueName, Product, fingerprint
from crl.envs.webshop.generate import generate
from crl.envs.webshop.original import digest, read_products
from crl.envs.webshop.search import Index


class Shop:
    """Products with their index, which is built at the first search."""

    def __init__(self, products: tuple[Product, ...], digest: str) -> None:
        self.products = products
        self.digest = digest  # of the generated products, or of the files that were read
        self.by_id = {product.id: product for product in products}

    @cached_property
    def _index(self) -> Index:
        return Index(self.products)

    def search(self, query: str) -> tuple[Product, ...]:
        """Up to 50 products, best first."""
        return tuple(self.products[index] for index in self._index.top(query))


@lru_cache(maxsize=4)
def open_shop(name: CatalogueName) -> Shop:
    """The shop of that name. A user's files are read once per process: restart after changing them."""
    if name.source:
        return Shop(read_products(name.source), digest(name.source))
    products = generate(name.size, name.seed)
    return Shop(products, fingerprint(products))
