"""WebShop's script: what is opened, checked and bought."""

from functools import partial

import numpy as np

from crl.tiny.scripts.script import Rule, SkillScript, Strategy, Words
from crl.tiny.slots.webshop import ACTIONS, goal_sentences, words


def last_page(words: Words) -> bool:
    """Whether there is no `next`."""
    number, last = words["page"].split("/")
    return number == last


def all_wishes(words: Words) -> bool:
    """Whether what was read states every wish."""
    met, wanted = words["wishes"].split("/")
    return met == wanted


# Skills, on a results or item page


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


def _searching(rule: Rule, words: Words, rng: np.random.Generator) -> str:
    """The rule, after the search that every episode begins with."""
    return "search" if words["at"] == "search" else rule(words, rng)


SKILLS = {
    name: Strategy(phrase, partial(_searching, rule))
    for name, phrase, rule in (
        ("check_all", "check price wishes details options before buying", check_all),
        ("any_wish", "buy when the title shows a wish", any_wish),
        ("within_price", "buy the first within price", within_price),
        ("first_hit", "buy the first result at once", first_hit),
        ("bare", "read details but choose no options", bare),
        ("contrary", "buy what misses a wish", contrary),
        ("browse", "look at every product never buy", browse),
        ("leaf", "buy from a later page", leaf),
    )
}


def script(level: str) -> SkillScript:
    """The same on every level."""
    goals = goal_sentences()
    vocabulary = dict.fromkeys((*words(), *ACTIONS, *(word for goal in goals for word in goal.split())))
    return SkillScript(tuple(vocabulary), goals, ACTIONS, SKILLS, spontaneous=("first_hit", "any_wish"))
