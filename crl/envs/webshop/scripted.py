"""Scripted shoppers that read the `slots` sentence, and nothing else: no peeking by construction."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crl.envs.contract import Observation
from crl.envs.family import Skill, SkillScript
from crl.tiny.slots import webshop as slots

Words = dict[str, str]  # "price:ok" -> {"price": "ok"}
Decide = Callable[[Words, np.random.Generator], str]


@dataclass
class Shopping:
    """Plays one episode by one skill."""

    decide: Decide
    rng: np.random.Generator

    def act(self, observation: Observation) -> str:
        words = parse(observation.text)
        return "search" if words["at"] == "search" else self.decide(words, self.rng)


def parse(text: str) -> Words:
    return {name: value for name, _, value in (word.partition(":") for word in text.split())}


def last_page(words: Words) -> bool:
    """Whether there is no `next`."""
    number, last = words["page"].split("/")
    return number == last


def all_wishes(words: Words) -> bool:
    """Whether what was read states every wish."""
    met, wanted = words["wishes"].split("/")
    return met == wanted


# Skills: (words on a results or item page, rng) -> action


def check_all(words: Words, rng: np.random.Generator) -> str:
    """Skips what costs too much, reads the details, chooses the options, buys only what meets everything."""
    if words["at"] == "results":
        return _take_next(words, skip=words.get("price") == "high" or words.get("kind") == "other")
    if words["options"] == "missing" or words["price"] == "high" or words["kind"] == "other":
        return "back"
    if not all_wishes(words):
        return "details" if words["details"] == "unread" else "back"
    return _configure_and_buy(words)


def any_wish(words: Words, rng: np.random.Generator) -> str:
    """Buys the first product whose title states a wish, with the options, within the price."""
    if words["at"] == "results":
        return _take_next(words, skip=words.get("wishes", "0").startswith("0") or words["price"] == "high")
    return _leave_or_buy(words)


def within_price(words: Words, rng: np.random.Generator) -> str:
    """Buys the first product of the kind within the price, with the options, whatever its attributes."""
    if words["at"] == "results":
        return _take_next(words, skip=words.get("price") == "high")
    return _leave_or_buy(words)


def first_hit(words: Words, rng: np.random.Generator) -> str:
    """Buys the first result, with the options as far as it offers them."""
    return _take_next(words, skip=False) if words["at"] == "results" else _configure_and_buy(words)


def bare(words: Words, rng: np.random.Generator) -> str:
    """Reads the details and checks the wishes, but never chooses an option."""
    if words["at"] == "results":
        return _take_next(words, skip=words.get("price") == "high")
    if words["details"] == "unread":
        return "details"
    return "buy" if all_wishes(words) and words["price"] != "high" else "back"


def contrary(words: Words, rng: np.random.Generator) -> str:
    """Harmful: buys at once what misses a wish or costs too much, leaves what would do."""
    if words["at"] == "results":
        return _take_next(words, skip=words.get("price") == "ok" and all_wishes(words))
    return "back" if all_wishes(words) and words["price"] == "ok" else "buy"


def browse(words: Words, rng: np.random.Generator) -> str:
    """Harmful: looks at one product after the other and never buys."""
    if words["at"] == "results":
        return _take_next(words, skip=False)
    return "details" if words["details"] == "unread" else "back"


def leaf(words: Words, rng: np.random.Generator) -> str:
    """Harmful: goes to the last page of the results and buys there."""
    if words["at"] == "item":
        return _configure_and_buy(words)
    return _take_next(words, skip=False) if last_page(words) else "next"


def _take_next(words: Words, *, skip: bool) -> str:
    """The next result of the page, else the next page; from the last one back to the search."""
    if words["rank"] != "none":
        return "skip" if skip else "open"
    return "back" if last_page(words) else "next"


def _leave_or_buy(words: Words) -> str:
    return "back" if words["options"] == "missing" or words["price"] == "high" else _configure_and_buy(words)


def _configure_and_buy(words: Words) -> str:
    return "options" if words["options"] == "open" else "buy"


SKILLS: dict[str, tuple[str, Decide]] = {
    "check_all": ("check price wishes details options before buying", check_all),
    "any_wish": ("buy when the title shows a wish", any_wish),
    "within_price": ("buy the first within price", within_price),
    "first_hit": ("buy the first result at once", first_hit),
    "bare": ("read details but choose no options", bare),
    "contrary": ("buy what misses a wish", contrary),
    "browse": ("look at every product never buy", browse),
    "leaf": ("buy from a later page", leaf),
}
SPONTANEOUS = ("first_hit", "any_wish")


def script() -> SkillScript:
    """The family's scripted play; the same on every level."""
    goals = slots.goal_sentences()
    return SkillScript(
        words=tuple(
            dict.fromkeys((*slots.words(), *slots.ACTIONS, *(word for goal in goals for word in goal.split())))
        ),
        goals=goals,
        actions=slots.ACTIONS,
        table={
            name: Skill(phrase, lambda rng, decide=decide: Shopping(decide, rng))
            for name, (phrase, decide) in SKILLS.items()
        },
        spontaneous=SPONTANEOUS,
    )
