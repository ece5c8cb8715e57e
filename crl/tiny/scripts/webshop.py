"""WebShop's script: what is opened, checked and bought."""

from collections.abc import Callable

import numpy as np

from crl.tiny.scripts.script import Rule, Script, Strategy, Words
from crl.tiny.slots.webshop import ACTIONS, goal_sentences, words


def last_page(words: Words) -> bool:
    """Whether there is no `next`."""
    number, last = words["page"].split("/")
    return number == last


def all_wishes(words: Words) -> bool:
    """Whether what was read states every wish."""
    met, wanted = words["wishes"].split("/")
    return met == wanted


def dear(words: Words) -> bool:
    """Whether it costs too much, whatever is chosen."""
    return words["price"] == "high"


# What a skill does on an item's page


def _buy_what_meets_everything(words: Words) -> str:
    if words["options"] == "missing" or dear(words) or words["kind"] == "other":
        return "back"
    if not all_wishes(words):
        return "details" if words["details"] == "unread" else "back"
    return _configure_and_buy(words)


def _leave_or_buy(words: Words) -> str:
    return "back" if words["options"] == "missing" or dear(words) else _configure_and_buy(words)


def _configure_and_buy(words: Words) -> str:
    return "options" if words["options"] == "open" else "buy"


def _buy_without_options(words: Words) -> str:
    if words["details"] == "unread":
        return "details"
    return "buy" if all_wishes(words) and not dear(words) else "back"


def _buy_what_misses_something(words: Words) -> str:
    return "back" if _will_do(words) else "buy"


def _look_and_leave(words: Words) -> str:
    return "details" if words["details"] == "unread" else "back"


def _will_do(words: Words) -> bool:
    return words["price"] == "ok" and all_wishes(words)


def shopping(on_item: Callable[[Words], str], skip: Callable[[Words], bool] = lambda words: False) -> Rule:
    """Searches, skips results or opens them, page after page, from the last one back to the search."""

    def rule(words: Words, rng: np.random.Generator) -> str:
        if words["at"] == "search":
            return "search"
        if words["at"] == "item":
            return on_item(words)
        if words["rank"] == "none":
            return "back" if last_page(words) else "next"
        return "skip" if skip(words) else "open"

    return rule


def leaf(words: Words, rng: np.random.Generator) -> str:
    """Goes to the last page of the results and buys there."""
    if words["at"] == "results" and not last_page(words):
        return "next"
    return shopping(_configure_and_buy)(words, rng)


SKILLS = {
    # Good.
    "check_all": Strategy(
        "check price wishes details options before buying",
        shopping(_buy_what_meets_everything, skip=lambda words: dear(words) or words["kind"] == "other"),
    ),
    # Middling: buys the first product whose title states a wish, or within the price, or the first at all.
    "any_wish": Strategy(
        "buy when the title shows a wish",
        shopping(_leave_or_buy, skip=lambda words: words["wishes"].startswith("0") or dear(words)),
    ),
    "within_price": Strategy("buy the first within price", shopping(_leave_or_buy, skip=dear)),
    "first_hit": Strategy("buy the first result at once", shopping(_configure_and_buy)),
    # Harmful.
    "bare": Strategy("read details but choose no options", shopping(_buy_without_options, skip=dear)),
    "contrary": Strategy("buy what misses a wish", shopping(_buy_what_misses_something, skip=_will_do)),
    "browse": Strategy("look at every product never buy", shopping(_look_and_leave)),
    "leaf": Strategy("buy from a later page", leaf),
}


def script(level: str) -> Script:
    """The same on every level."""
    goals = goal_sentences()
    vocabulary = dict.fromkeys((*words(), *ACTIONS, *(word for goal in goals for word in goal.split())))
    return Script(tuple(vocabulary), goals, ACTIONS, SKILLS, spontaneous=("first_hit", "any_wish"))
