"""The values of a shop: products with options, goals, and the name that tells which catalogue a goal belongs to.

Money is in whole cents everywhere, so that a price bound is met or not, without rounding.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field


@dataclass(frozen=True, slots=True)
class OptionValue:
    name: str
    extra_cents: int = 0  # on top of the product's price


@dataclass(frozen=True, slots=True)
class Option:
    name: str  # e.g. "color"
    values: tuple[OptionValue, ...]


@dataclass(frozen=True, slots=True)
class Review:
    stars: int
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Product:
    """One product. `attributes` is what the reward knows; a page shows them only in its texts."""

    id: str  # lower case: it is a button
    line: str  # near-duplicates share it; splits never cut through a line
    title: str
    query: str  # the kind of product, as a shopper would search for it
    category: tuple[str, ...]  # path, widest level first
    nouns: tuple[str, ...]  # of the title
    cents: int
    options: tuple[Option, ...]
    attributes: tuple[str, ...]
    bullets: tuple[str, ...]
    description: str
    reviews: tuple[Review, ...]

    @property
    def values(self) -> tuple[tuple[str, str], ...]:
        """(option name, value name) of all that can be chosen."""
        return tuple((option.name, value.name) for option in self.options for value in option.values)

    def price_cents(self, chosen: Mapping[str, str]) -> int:
        """The price with the chosen option values (option name -> value name)."""
        return self.cents + sum(
            value.extra_cents
            for option in self.options
            for value in option.values
            if chosen.get(option.name) == value.name
        )

    @property
    def price_range(self) -> tuple[int, int]:
        """Lowest and highest price over all option values, in cents."""
        extras = [[value.extra_cents for value in option.values] for option in self.options if option.values]
        return self.cents + sum(map(min, extras)), self.cents + sum(map(max, extras))


@dataclass(frozen=True, slots=True)
class Goal:
    """What the shopper shall buy. `product` is one product that meets it: known to the oracle only."""

    instruction: str
    product: str
    query: str
    category: tuple[str, ...]
    nouns: tuple[str, ...]
    attributes: tuple[str, ...]
    options: tuple[tuple[str, str], ...]  # (option name, wanted value)
    price_upper_cents: int
    weight: float = field(default=1.0, compare=False)  # of the draw; not part of the task

    @property
    def constraints(self) -> int:
        """Attributes + options + the price: the task's difficulty and the reward's denominator."""
        return len(self.attributes) + len(self.options) + 1


@dataclass(frozen=True, slots=True)
class CatalogueName:
    """Which catalogue: generated from a seed (`source` empty), or read from a user's folder."""

    size: int = 0  # products of a generated catalogue
    seed: int = 0
    source: str = ""

    def __str__(self) -> str:
        return self.source or f"generated-{self.size} (seed {self.seed})"


def fingerprint(products: Sequence[Product]) -> str:
    """sha256 over every field of every product: a goal is only good for the catalogue it was made from."""
    digest = hashlib.sha256()
    for product in products:
        digest.update(repr(astuple(product)).encode())
    return digest.hexdigest()
