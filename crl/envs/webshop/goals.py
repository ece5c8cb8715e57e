"""Goals: what a shopper may be sent to buy, how often, and in which split.

Goals of a generated catalogue are drawn per product: one to three of its attributes, up to two of its options, and an
upper price; those that a second product of the kind would meet are left out. The draw among goals follows the
original: a goal's weight is the mean of 1 / frequency over its attributes, where a frequency counts the goals with
that attribute: rare wishes come first. A split takes whole lines of near-duplicates, so that no product, nor its
double, is in both.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from crl.envs.webshop.catalogue import Goal, Product
from crl.envs.webshop.reward import same_value, score
from crl.envs.webshop.vocabulary import vocabulary
from crl.seeding import derive_seed, stream

GOALS_PER_PRODUCT = 4
_DRAWS_PER_PRODUCT = 32  # kept are those that no other product of the kind meets: the first hit shall seldom do
EVAL_SHARE = 0.2  # of the lines
_ATTRIBUTES, _ATTRIBUTE_SHARES = (1, 2, 3), (0.15, 0.4, 0.45)
_OPTION_SHARE = 0.7  # of a product's options are asked for
_RUNGS_CENTS = (*range(500, 10_000, 500), *range(10_000, 100_000, 1_000))  # upper prices that a shopper may name
_NEXT_RUNGS = 2  # the upper price is one of the next two above the product's own


def generated_goals(products: Iterable[Product], seed: int) -> Iterator[Goal]:
    """Up to four different goals per product, unweighted; no other product of its kind would do."""
    rivals: dict[str, list[Product]] = defaultdict(list)
    for product in products:
        rivals[product.query].append(product)
    for product in products:
        rng = stream("webshop goals", seed, product.id)
        drawn = dict.fromkeys(_draw(product, rng) for _ in range(_DRAWS_PER_PRODUCT))
        others = [rival for rival in rivals[product.query] if rival.id != product.id]
        unique = (goal for goal in drawn if not any(meets(goal, other) for other in others))
        yield from islice(unique, GOALS_PER_PRODUCT)


def meets(goal: Goal, product: Product) -> bool:
    """Whether the product can be bought for a score of 1."""
    chosen = offered(goal, product)  # the price first: it is the cheapest to tell
    return product.price_cents(chosen) <= goal.price_upper_cents and score(goal, product, chosen).total == 1


def offered(goal: Goal, product: Product) -> dict[str, str]:
    """The options that the goal names, as the product offers them (its option's name -> its value's)."""
    found: dict[str, str] = {}
    for name, wanted in goal.options:
        # the same name and value before like ones
        pairs = sorted(product.values, key=lambda pair: (pair[0] != name, pair[1] != wanted))
        found.update(islice((pair for pair in pairs if same_value(*pair, wanted)), 1))
    return found


def _draw(product: Product, rng: np.random.Generator) -> Goal:
    count = min(int(rng.choice(_ATTRIBUTES, p=_ATTRIBUTE_SHARES)), len(product.attributes))
    attributes = tuple(product.attributes[index] for index in rng.permutation(len(product.attributes))[:count])
    options = tuple(
        (option.name, option.values[int(rng.integers(len(option.values)))].name)
        for option in product.options
        if rng.random() < _OPTION_SHARE
    )
    price = product.price_cents(dict(options))
    above = [rung for rung in _RUNGS_CENTS if rung > price][:_NEXT_RUNGS]
    upper = above[int(rng.integers(len(above)))]
    openings = vocabulary().instructions
    opening = openings[int(rng.integers(len(openings)))]
    wish = opening.format(w=" ".join((", ".join(attributes), product.query)))
    return Goal(
        instruction(wish, options, upper), product.id, product.query, product.category, product.nouns, attributes,
        options, upper,
    )  # fmt: skip


def instruction(wish: str, options: Sequence[tuple[str, str]], price_upper_cents: int | None) -> str:
    """The sentence that the shopper reads: the wish, then its options, then the price bound where there is one."""
    named = ", ".join(f"{name}: {value}" if name else value for name, value in options)
    with_options = f" with {named}" if named else ""
    bound = "" if price_upper_cents is None else f", and price lower than {price_upper_cents / 100:.2f} dollars"
    return f"{wish.rstrip('. ')}{with_options}{bound}"


def weighted(goals: Sequence[Goal]) -> tuple[Goal, ...]:
    """The goals with weight = mean over the attributes of 1 / number of goals that have the attribute."""
    counts = Counter(attribute for goal in goals for attribute in goal.attributes)
    return tuple(
        replace(goal, weight=sum(1 / counts[name] for name in goal.attributes) / len(goal.attributes)) for goal in goals
    )


def in_split(line: str, split: str) -> bool:
    """Whether a line of products belongs to the split; a property of the line alone, in any order of asking."""
    position = derive_seed("webshop split", line) / 2**63
    return (position < EVAL_SHARE) == (split == "eval")


def in_drawn_order(goals: Sequence[Goal], *seed: int | str) -> list[Goal]:
    """All goals in the order of a weighted draw without replacement (Efraimidis and Spirakis, 2006)."""
    draws = stream("webshop draw", *seed).random(len(goals))
    keys = np.log(draws) / np.array([goal.weight for goal in goals])
    return [goals[index] for index in np.argsort(-keys, kind="stable")]
