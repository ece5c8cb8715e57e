"""The generated catalogue: lines of near-duplicates, which differ in one attribute, in the options or in the price.

A pure function of (size, seed): the same products in every process and on every machine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TypeVar

import numpy as np

from crl.envs.webshop.catalogue import Option, OptionValue, Product, Review
from crl.envs.webshop.vocabulary import Department, ProductType, vocabulary
from crl.seeding import stream

T = TypeVar("T")

_LINE_SIZES = ((1, 2, 4, 6, 8, 10), (0.08, 0.12, 0.2, 0.25, 0.2, 0.15))  # products in a line, and how often
_ATTRIBUTES = (4, 8)  # of a product: fewest, most
_OWN_ATTRIBUTES = 2  # of those, how many belong to the type alone
_MOST_VALUES = 7  # of one option in one product
_ZIPF = 1.0  # the k-th attribute of a pool has weight 1 / k: a long tail
_PRICE_STEPS = (0.7, 1.25, 1.4, 1.6, 1.9)  # price of a variant, of the line's
_TWO_IN_TITLE_SHARE = 0.2  # of titles state two attributes, the others one
_DESCRIBED_SHARE = 0.2  # of descriptions state an attribute; the others stand in bullet points
_HIDDEN_SHARE = 0.8  # of attribute variants keep their title: only reading on tells them apart


@dataclass(frozen=True, slots=True)
class _Draft:
    """What decides a product's texts. Variants of a line are drafts with one thing replaced."""

    department: Department
    type: ProductType
    brand: str
    series: str
    cents: int
    options: tuple[Option, ...]
    in_title: tuple[str, ...]  # attributes by the place that states them
    elsewhere: tuple[str, ...]

    @property
    def attributes(self) -> tuple[str, ...]:
        return (*self.in_title, *self.elsewhere)


def generate(size: int, seed: int) -> tuple[Product, ...]:
    """`size` products, shuffled; all types appear in turn, so that small catalogues are varied, too."""
    rng = stream("webshop catalogue", seed)
    drafts: list[tuple[str, _Draft]] = []
    types = _types_in_turn(rng)
    while len(drafts) < size:
        line = f"line {len(drafts)}"
        drafts += [(line, draft) for draft in _line(*next(types), rng)]
    shuffled = _shuffled(drafts[:size], rng)
    return tuple(_product(f"p{rank:05d}", line, draft, rng) for rank, (line, draft) in enumerate(shuffled))


def _types_in_turn(rng: np.random.Generator) -> Iterator[tuple[Department, ProductType]]:
    types = [(department, type_) for department in vocabulary().departments for type_ in department.types]
    while True:
        yield from _shuffled(types, rng)


def _line(department: Department, type_: ProductType, rng: np.random.Generator) -> list[_Draft]:
    """A product and its near-duplicates; no two of them are alike."""
    attributes = _draw_attributes(department, type_, rng)
    in_title = 1 + int(rng.random() < _TWO_IN_TITLE_SHARE)
    low, high = type_.dollars
    cents = int(rng.integers(low, high + 1)) * 100 - int(rng.choice([1, 1, 5, 51]))
    base = _Draft(
        department, type_, _brand(rng), _pick(vocabulary().series, rng), cents, _draw_options(type_, cents, rng),
        attributes[:in_title], attributes[in_title:],
    )  # fmt: skip
    sizes, shares = _LINE_SIZES
    line = [base]
    for _ in range(int(rng.choice(sizes, p=shares)) - 1):
        variant = _pick((_other_attribute, _other_attribute, _other_options, _other_price), rng)(_pick(line, rng), rng)
        if variant not in line:
            line.append(variant)
    return line


def _draw_attributes(department: Department, type_: ProductType, rng: np.random.Generator) -> tuple[str, ...]:
    count = int(rng.integers(_ATTRIBUTES[0], _ATTRIBUTES[1] + 1))
    own = rng.choice(type_.attributes, size=_OWN_ATTRIBUTES, replace=False, p=_tail(len(type_.attributes)))
    pool = _shared_pool(department)
    shared = rng.choice(pool, size=count - _OWN_ATTRIBUTES, replace=False, p=_tail(len(pool)))
    return tuple(_shuffled([str(attribute) for attribute in (*own, *shared)], rng))


def _shared_pool(department: Department) -> tuple[str, ...]:
    """Common and departmental attributes, alternating: both are frequent at the front and rare at the end."""
    pairs = zip_longest(vocabulary().everywhere, department.attributes)
    return tuple(attribute for pair in pairs for attribute in pair if attribute is not None)


def _tail(count: int) -> np.ndarray:
    weights = 1.0 / np.arange(1, count + 1) ** _ZIPF
    return weights / weights.sum()


def _draw_options(type_: ProductType, cents: int, rng: np.random.Generator) -> tuple[Option, ...]:
    """The type's first option almost always, the second mostly."""
    offered = [name for name, chance in zip(type_.options, (0.9, 0.7), strict=False) if rng.random() < chance]
    return tuple(_draw_option(name, cents, rng) for name in offered)


def _draw_option(name: str, cents: int, rng: np.random.Generator) -> Option:
    option = vocabulary().options[name]
    count = int(rng.integers(2, min(len(option.values), _MOST_VALUES) + 1))
    chosen = sorted(rng.choice(len(option.values), size=count, replace=False).tolist())
    step = int(round(cents * option.extra, -1))
    return Option(name, tuple(OptionValue(option.values[index], rank * step) for rank, index in enumerate(chosen)))


def _other_attribute(base: _Draft, rng: np.random.Generator) -> _Draft:
    pool = (*base.type.attributes, *_shared_pool(base.department))
    new = _pick([attribute for attribute in pool if attribute not in base.attributes], rng)
    hidden = rng.random() < _HIDDEN_SHARE
    changed = base.elsewhere if hidden else base.in_title
    at = int(rng.integers(len(changed)))
    changed = (*changed[:at], new, *changed[at + 1 :])
    return replace(base, elsewhere=changed) if hidden else replace(base, in_title=changed)


def _other_options(base: _Draft, rng: np.random.Generator) -> _Draft:
    return replace(base, options=_draw_options(base.type, base.cents, rng))


def _other_price(base: _Draft, rng: np.random.Generator) -> _Draft:
    cents = int(round(base.cents * _pick(_PRICE_STEPS, rng), -1)) + 9
    return replace(base, cents=cents)


def _brand(rng: np.random.Generator) -> str:
    return "".join(_pick(vocabulary().syllables, rng) for _ in range(int(rng.integers(2, 4)))).capitalize()


# Texts


def _product(id_: str, line: str, draft: _Draft, rng: np.random.Generator) -> Product:
    words = {"n": draft.type.noun, "b": draft.brand, "s": draft.series}
    described, bulleted = draft.elsewhere[:1], draft.elsewhere[1:]
    if rng.random() >= _DESCRIBED_SHARE:
        described, bulleted = (), draft.elsewhere
    return Product(
        id=id_,
        line=line,
        title=_title(draft, words, rng),
        query=draft.type.noun,
        category=(*draft.department.path, draft.type.shelf, draft.type.noun),
        nouns=tuple(draft.type.noun.split()),
        cents=draft.cents,
        options=draft.options,
        attributes=draft.attributes,
        bullets=_bullets(bulleted, words, rng),
        description=_description(described, words, rng),
        reviews=_reviews(words, rng),
    )


def _title(draft: _Draft, words: dict[str, str], rng: np.random.Generator) -> str:
    templates = vocabulary().titles_one if len(draft.in_title) == 1 else vocabulary().titles_two
    title = _pick(templates, rng).format(**dict(zip("ac", draft.in_title, strict=False)), **words)
    return title[0].upper() + title[1:]


def _bullets(attributes: Sequence[str], words: dict[str, str], rng: np.random.Generator) -> tuple[str, ...]:
    """One per attribute, each worded differently, and one or two that say nothing of use; in any order."""
    templates = _shuffled(vocabulary().bullets, rng)[: len(attributes)]
    bullets = [
        template.format(a=attribute, A=attribute.capitalize(), **words)
        for template, attribute in zip(templates, attributes, strict=True)
    ]
    bullets += _shuffled(vocabulary().fillers, rng)[: int(rng.integers(1, 3))]
    return tuple(_shuffled(bullets, rng))


def _description(attributes: Sequence[str], words: dict[str, str], rng: np.random.Generator) -> str:
    sentences = [opener.format(**words) for opener in _shuffled(vocabulary().openers, rng)[:2]]
    sentences += [_pick(vocabulary().claims, rng).format(a=attribute) for attribute in attributes]
    return " ".join((*sentences, _pick(vocabulary().fillers, rng)))


def _reviews(words: dict[str, str], rng: np.random.Generator) -> tuple[Review, ...]:
    chosen = _shuffled(vocabulary().reviews, rng)[: int(rng.integers(0, 4))]
    return tuple(Review(stars, title, text.format(**words)) for stars, title, text in chosen)


def _shuffled(choices: Sequence[T], rng: np.random.Generator) -> list[T]:
    return [choices[index] for index in rng.permutation(len(choices))]


def _pick(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[int(rng.integers(len(choices)))]
