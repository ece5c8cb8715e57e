"""Reads the original shop's files, where a user has them, into our products and goals.

    items_shuffle_1000.json   list of products: asin, name, full_description, small_description, pricing,
                              customization_options, query, category, product_category
    items_ins_v2_1000.json    asin -> attributes, instruction, instruction_attributes
    items_human_ins.json      asin -> list of instruction, instruction_attributes, instruction_options (optional)

Only `asin` and `name` must be there; what else is missing is taken as empty, as the original does, and a field of
another type is an error that names it. What the original leaves to chance at start-up (a price within a range, an upper
price) is drawn here from the product's id.
"""

import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from crl.envs.originals import read_json
from crl.envs.webshop.catalogue import Goal, Option, OptionValue, Product
from crl.envs.webshop.goals import instruction
from crl.envs.webshop.reward import same_value
from crl.errors import DataError
from crl.seeding import stream

PRODUCTS, ATTRIBUTES, HUMAN = FILES = ("items_shuffle_1000.json", "items_ins_v2_1000.json", "items_human_ins.json")
_REMEDY = (
    f"source must be the folder that holds {PRODUCTS} and {ATTRIBUTES} of the original WebShop; without a source a "
    "generated catalogue is used"
)
COMBINATIONS = 8  # of option values per product that become goals; the original takes all
_PRICE_UNKNOWN_CENTS = 10_000  # the original's stand-in
_RUNGS_CENTS = tuple(range(1_000, 100_000, 1_000))  # upper prices: tens of dollars below 1,000
_NEXT_RUNGS, _DRAWN_RUNGS = 4, 2  # the larger of two out of the next four
_NO_BOUND_CENTS = 100_000_000
_DOLLARS = re.compile(r"\$\s*([\d,]+(?:\.\d+)?)")
_CONTENT_WORD = re.compile(r"[a-z]{3,}")
_EMPTY_WORDS = frozenset(
    ("and", "for", "with", "the", "from", "your", "pack", "set", "new", "inch", "size", "color", "men", "women", "mens", "womens")
)  # fmt: skip


def digest(source: str) -> str:
    """sha256 over the files that are there, with their names."""
    total = hashlib.sha256()
    for name in FILES:
        path = Path(source, name)
        if path.is_file():
            total.update(name.encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def read_products(source: str) -> tuple[Product, ...]:
    """Every product of the folder once, in the file's order. Raises DataError."""
    entries = _json(source, PRODUCTS, list)
    attributes = _json(source, ATTRIBUTES, dict)
    products: dict[str, Product] = {}
    for index, entry in enumerate(entries):
        record = _Record(f"{PRODUCTS}[{index}]", entry)
        asin = record.text("asin", required=True)
        if asin.lower() not in products:
            about = _Record(f"{ATTRIBUTES}[{asin!r}]", attributes.get(asin, {}))
            products[asin.lower()] = _product(asin.lower(), record, about)
    if not products:
        raise DataError(f"{Path(source, PRODUCTS)}: holds no product. Remedy: download it again")
    return tuple(products.values())


def read_goals(source: str, products: Sequence[Product]) -> tuple[tuple[Goal, ...], bool]:
    """The goals, and whether people wrote them (then they weigh alike). Raises DataError."""
    by_people = Path(source, HUMAN).is_file()
    name, goals_of = (HUMAN, _human_goals) if by_people else (ATTRIBUTES, _made_goals)
    entries = {asin.lower(): entry for asin, entry in _json(source, name, dict).items()}
    known = [product for product in products if product.id in entries]
    return tuple(goal for product in known for goal in goals_of(product, entries[product.id])), by_people


def _product(asin: str, record: "_Record", about: "_Record") -> Product:
    title = record.text("name", required=True)
    return Product(
        id=asin,
        line=asin,
        title=title,
        query=record.text("query").lower().strip(),
        category=tuple(part.strip() for part in re.split("[›>]", record.text("product_category")) if part.strip()),
        nouns=_content_words(title),
        cents=_price_cents(asin, record.text("pricing")),
        options=tuple(_options(record)),
        attributes=about.texts("attributes"),
        bullets=record.texts("small_description"),
        description=record.text("full_description"),
        reviews=(),
    )


def _content_words(title: str) -> tuple[str, ...]:
    """Stands for the title's nouns, which the original gets from a tagger that is not on the package index."""
    return tuple(dict.fromkeys(word for word in _CONTENT_WORD.findall(title.lower()) if word not in _EMPTY_WORDS))


def _price_cents(asin: str, text: str) -> int:
    prices = [round(float(number.replace(",", "")) * 100) for number in _DOLLARS.findall(text)][:2]
    if len(prices) < 2:
        return prices[0] if prices else _PRICE_UNKNOWN_CENTS
    low, high = sorted(prices)
    return int(stream("webshop price", asin).integers(low, high + 1))


def _options(record: "_Record") -> Iterator[Option]:
    offered = record.record("customization_options")
    for name in offered.content:
        names = [value.text("value") for value in offered.records(name)]
        if plain := dict.fromkeys(_button(value) for value in names if value.strip()):
            yield Option(_button(name), tuple(map(OptionValue, plain)))


def _button(text: str) -> str:
    """A name that can be clicked: lower case, single blanks; slashes as the original shows them."""
    return " ".join(text.lower().replace("/", " | ").split())


def _human_goals(product: Product, entries: Any) -> Iterator[Goal]:
    if not isinstance(entries, list):
        raise DataError(f"{HUMAN}[{product.id!r}] is {type(entries).__name__}, not a list. Remedy: download it again")
    for index, entry in enumerate(entries):
        record = _Record(f"{HUMAN}[{product.id!r}][{index}]", entry)
        wanted = tuple(_find_option(product, value) for value in record.texts("instruction_options"))
        yield from _goal(product, record, wanted, named=(), salt=index)


def _made_goals(product: Product, entry: Any) -> Iterator[Goal]:
    record = _Record(f"{ATTRIBUTES}[{product.id!r}]", entry)
    choices = [[(option.name, value.name) for value in option.values] for option in product.options]
    combinations = list(itertools.islice(itertools.product(*choices), 10_000))
    order = stream("webshop combinations", product.id).permutation(len(combinations))[:COMBINATIONS]
    for index in sorted(order.tolist()):
        yield from _goal(product, record, combinations[index], named=combinations[index], salt=index)


def _goal(product: Product, record: "_Record", options: tuple, *, named: tuple, salt: int) -> Iterator[Goal]:
    """The goal that the record asks for, if it says anything."""
    attributes, text = record.texts("instruction_attributes"), record.text("instruction")
    if not (attributes and text):
        return
    above = [rung for rung in _RUNGS_CENTS if rung > product.cents][:_NEXT_RUNGS]
    rng = stream("webshop price bound", product.id, salt)
    bounded = len(above) >= _DRAWN_RUNGS
    upper = max(above[index] for index in rng.permutation(len(above))[:_DRAWN_RUNGS].tolist()) if bounded else None
    yield Goal(
        instruction(text, named, upper), product.id, product.query, product.category, product.nouns, attributes,
        options, _NO_BOUND_CENTS if upper is None else upper,
    )  # fmt: skip


def _find_option(product: Product, wanted: str) -> tuple[str, str]:
    """(option, value) of the product that the words mean; without a name where there is none."""
    return next((pair for pair in product.values if same_value(*pair, wanted)), ("", wanted))


class _Record:
    """One JSON object, read with errors that name the place."""

    def __init__(self, where: str, content: Any) -> None:
        self.where = where
        self.content = self._typed(where, content, dict)

    def text(self, field: str, *, required: bool = False) -> str:
        value = self.content.get(field)
        if required and not value:
            raise DataError(f"{self.where}: field {field!r} is {value!r}. Remedy: download the file again")
        if isinstance(value, list):  # some texts come as a list of lines
            value = " ".join(map(str, value))
        return self._typed(field, value or "", str)

    def texts(self, field: str) -> tuple[str, ...]:
        """The texts of a list, the values of a mapping, or a single text."""
        value = self.content.get(field) or []
        if isinstance(value, dict):
            return tuple(map(str, value.values()))
        listed = [value] if isinstance(value, str) else self._typed(field, value, list)
        return tuple(self._typed(field, text, str) for text in listed)

    def record(self, field: str) -> "_Record":
        return _Record(f"{self.where}.{field}", self._typed(field, self.content.get(field) or {}, dict))

    def records(self, field: str) -> tuple["_Record", ...]:
        listed = self._typed(field, self.content.get(field) or [], list)
        return tuple(_Record(f"{self.where}[{field!r}][{index}]", item) for index, item in enumerate(listed))

    def _typed(self, field: str, value: Any, kind: type) -> Any:
        if not isinstance(value, kind):
            raise DataError(
                f"{self.where}: field {field!r} is {str(value)[:40]!r}, not of type {kind.__name__}. "
                "Remedy: download the file again"
            )
        return value


def _json(source: str, name: str, kind: type) -> Any:
    return read_json(Path(source, name), kind, _REMEDY)
