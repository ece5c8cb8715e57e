"""Task sets: which goals a request gets, each proved solvable by a search that anybody could make.

A task's payload is JSON: the goal, the catalogue's name, and the catalogue's digest, which is checked when it is played.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from itertools import islice

from crl.envs.errors import EnvError
from crl.envs.family import TaskRequest
from crl.envs.webshop import reward
from crl.envs.webshop.catalogue import CatalogueName, Goal
from crl.envs.webshop.goals import generated_goals, in_drawn_order, in_split, weighted
from crl.envs.webshop.original import read_goals
from crl.envs.webshop.shop import Shop, open_shop
from crl.envs.webshop.site import BUY, NEXT, PER_PAGE, Site
from crl.errors import ConfigError, DataError
from crl.types import Task

SMALL = "small"  # the level of the paper: 1,000 products
_SMALL_SIZE = 1_000
_SIZES = (50, 20_000)  # products of "generated-<n>": fewest, most
_CATALOGUE_SEED = 0
_QUERY_CHARS = 120  # of an instruction, as a query: an action must stay short enough to be an answer
_PRICE_CLAUSE = re.compile(r",? and price lower than .*$")
_WORD = re.compile(r"[a-z0-9][a-z0-9.'-]*")
_COURTESIES = frozenset(
    ("i", "am", "im", "looking", "for", "need", "find", "me", "show", "would", "like", "to", "buy", "can", "you", "get", "want",
     "please", "order", "a", "an", "the", "with", "and", "of", "in", "some")
)  # fmt: skip


def catalogue_of(level: str, source: str | None) -> CatalogueName:
    """The catalogue behind a level. Raises ConfigError for a level or a combination that does not exist."""
    match = re.fullmatch(r"generated-(\d{1,6})", level)
    size = _SMALL_SIZE if level == SMALL else int(match[1]) if match else 0
    if not _SIZES[0] <= size <= _SIZES[1]:
        raise ConfigError(
            f"level = {level!r}: no such WebShop level. "
            f"Remedy: use {SMALL!r}, or 'generated-<n>' with {_SIZES[0]} <= n <= {_SIZES[1]}"
        )
    if source is None:
        return CatalogueName(size, _CATALOGUE_SEED)
    if level != SMALL:
        raise ConfigError(f"level = {level!r} with source = {source!r}: Remedy: use level {SMALL!r}, or no source")
    return CatalogueName(source=source)


def task_set(request: TaskRequest) -> Iterator[Task]:
    """The request's tasks: goals of its split, drawn by weight, as far as they are solvable within its steps."""
    name = catalogue_of(request.level, request.source)
    shop = open_shop(name)
    goals = [goal for goal in _goals(name) if in_split(shop.by_id[goal.product].line, request.split)]
    solvable = (
        goal for goal in in_drawn_order(goals, request.split)
        if (actions := solve(shop, goal)) is not None and len(actions) <= request.max_steps
    )  # fmt: skip
    for index, goal in enumerate(islice(solvable, request.count)):
        yield request.task(
            request.first_seed + index,
            payload=encode(name, shop.digest, goal),
            goal=goal.instruction,
            difficulty=float(goal.constraints),
        )


@lru_cache(maxsize=4)
def _goals(name: CatalogueName) -> tuple[Goal, ...]:
    products = open_shop(name).products
    if not name.source:
        return weighted(tuple(generated_goals(products, name.seed)))
    goals, by_people = read_goals(name.source, products)
    return goals if by_people else weighted(goals)


# The oracle


def query_of(instruction: str) -> str:
    """The instruction as a search: its words without courtesies and without the price."""
    words = [word for word in _WORD.findall(_PRICE_CLAUSE.sub("", instruction.lower())) if word not in _COURTESIES]
    while len(" ".join(words)) > _QUERY_CHARS:
        words.pop()
    return " ".join(words)


def solve(shop: Shop, goal: Goal) -> tuple[str, ...] | None:
    """Actions that buy the goal's product for a score of 1, or None where the search does not show it."""
    query, product = query_of(goal.instruction), shop.by_id[goal.product]
    site = Site(shop)
    if not site.search(query) or product not in site.results:
        return None
    actions = [f"search[{query}]"]
    clicks = [NEXT] * (site.results.index(product) // PER_PAGE) + [product.id]
    for button in clicks:
        site.click(button)
    chosen = dict(goal.options)
    labels = [button for button, (option, value) in site.labels().items() if chosen.get(option) == value]
    for button in labels:
        site.click(button)
    if reward.score(goal, product, site.chosen).total < 1:
        return None
    return (*actions, *(f"click[{button}]" for button in (*clicks, *labels, BUY)))


# The payload


def encode(name: CatalogueName, digest: str, goal: Goal) -> str:
    record = asdict(goal)
    del record["weight"]
    return json.dumps({"catalogue": asdict(name), "digest": digest, "goal": record}, ensure_ascii=False)


def decode(payload: str) -> tuple[Shop, Goal]:
    """The shop and the goal of a payload. Raises EnvError, or DataError where the catalogue is not the same any more."""
    try:
        record = json.loads(payload)
        name, digest, raw = CatalogueName(**record["catalogue"]), record["digest"], record["goal"]
        texts = {key: tuple(raw[key]) for key in ("category", "nouns", "attributes")}
        goal = Goal(**{**raw, **texts, "options": tuple((option, value) for option, value in raw["options"])})
    except (ValueError, KeyError, TypeError) as error:
        raise EnvError(
            f"the payload {payload[:60]!r} holds no WebShop goal ({error}). Remedy: take tasks from a prepared task set"
        ) from error
    shop = open_shop(name)
    if shop.digest != digest:
        raise DataError(
            f"the catalogue {name} has digest {shop.digest[:12]}, the task was made for {digest[:12]}. "
            "Remedy: prepare the task set again, or put the original files back"
        )
    return shop, goal
