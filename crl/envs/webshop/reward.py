"""The published reward of a purchase: type x (attributes + options + price) / number of constraints.

The formula is that of the WebShop paper (Yao et al., 2022), written anew from its description. Two things differ:
option matches are counted over the goal's options, so that they cannot exceed them, and the title's nouns come with
the product (see `original.py` for catalogues without them).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from types import ModuleType
from typing import Any

from crl.envs.optional import load
from crl.envs.webshop.catalogue import Goal, Product

_CLOSE_ENOUGH = 85  # of 100, token_set_ratio; above it two phrases count as the same
_SHARED_LEVELS = 2  # of the category paths
_TITLE_SAME, _TITLE_FAR = 0.2, 0.1  # share of the goal's title nouns
_COLORS = frozenset((
    "black", "white", "navy", "charcoal", "ivory", "sage", "burgundy", "mustard", "teal", "coral", "lavender",
    "olive", "rust", "turquoise", "beige", "silver", "gold", "pink", "crimson", "emerald", "red", "green", "blue",
    "yellow", "orange", "purple", "brown", "grey", "gray", "khaki", "tan", "cream", "nude", "maroon", "magenta",
    "cyan", "indigo", "violet", "bronze", "copper", "aqua", "peach", "mint", "wine", "camel", "coffee", "apricot",
    "leopard", "multicolor", "transparent", "clear",
))  # fmt: skip
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class Score:
    """The graded reward and its parts. `total` is 1 exactly when every constraint holds."""

    total: float
    type_factor: float
    attributes: int  # met
    options: int  # met
    price_ok: bool


def score(goal: Goal, product: Product, chosen: Mapping[str, str]) -> Score:
    """Grade buying `product` with the chosen options (option name -> value name)."""
    attributes = sum(has_attribute(product, attribute) for attribute in goal.attributes)
    # a wish is met whatever the product calls the option
    options = sum(any(same_value(*pair, wanted) for pair in chosen.items()) for _, wanted in goal.options)
    price_ok = product.price_cents(chosen) <= goal.price_upper_cents
    factor = type_factor(goal, product)
    met = attributes + options + price_ok
    return Score(factor * met / goal.constraints, factor, attributes, options, price_ok)


def type_factor(goal: Goal, product: Product) -> float:
    """1 for the same kind of product by query, category or title; less the farther its title is from the goal's."""
    shared = len({*goal.nouns} & {*product.nouns}) / len({*goal.nouns}) if goal.nouns else 0.0
    same_levels = len({*goal.category} & {*product.category})
    same_query = bool(goal.query) and goal.query == product.query
    if same_query or same_levels >= _SHARED_LEVELS or shared > _TITLE_SAME:
        return 1.0
    if shared == 0:
        return 0.0
    return 0.1 if shared < _TITLE_FAR else 0.5


def has_attribute(product: Product, attribute: str) -> bool:
    """Whether an attribute of the product is much the same, or its title, bullets or description state it."""
    if any(_same(attribute, own) for own in product.attributes):
        return True
    wanted = attribute.lower()
    texts = (product.title, " ".join(product.bullets), product.description)
    return any(wanted in text.lower() for text in texts)


def same_value(option: str, value: str, wanted: str) -> bool:
    """Sizes exactly, anything else nearly; colors by the color words in them ("01-navy" is "navy")."""
    value, wanted = _plain(value), _plain(wanted)
    if value == wanted:
        return True
    if "size" in option:
        return False
    if "color" in option or "colour" in option:
        value, wanted = _color(value), _color(wanted)
    return _same(value, wanted)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _color(text: str) -> str:
    found = [word for word in _WORD.findall(text) if word in _COLORS]
    return " ".join(found) or text


@cache
def fuzzy() -> tuple[ModuleType, Any]:
    """rapidfuzz's `fuzz` and its text preprocessing, imported when first used. Raises EnvUnavailable."""
    return load("rapidfuzz.fuzz", "webshop"), load("rapidfuzz.utils", "webshop").default_process


@lru_cache(maxsize=65536)
def _same(one: str, other: str) -> bool:
    """thefuzz's token_set_ratio; without its preprocessing hyphens and capitals would count as differences."""
    fuzz, process = fuzzy()
    return fuzz.token_set_ratio(one, other, processor=process) > _CLOSE_ENOUGH
