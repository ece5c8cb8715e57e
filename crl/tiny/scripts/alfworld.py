"""ALFWorld's script: a skill explores in its own way and does its errand (take, treat, bring, put) in its own way.

Exploring costs steps and a house has up to 54 places, so where one looks first decides; and a treatment left out fails.
"""

import numpy as np

from crl.tiny.scripts.script import Rule, Script, Strategy, Words
from crl.tiny.slots.alfworld import ACTIONS, KINDS, words

_WANDER_ERRAND = 0.5  # how often `wander` does its errand


def errand(words: Words) -> str | None:
    """The next step towards the goal, or None while something must be found first."""
    if words["hand"] == "empty":
        if words["want"] == "here":
            return "take"
        return "open" if words["door"] == "shut" else "return" if words["want"] == "known" else None
    if words["hand"] == "raw":
        return {"here": "treat", "away": "tool"}.get(words["tool"])
    return bring(words)


def bring(words: Words) -> str:
    """To the goal, open it, put it down."""
    if words["goal"] != "here":
        return "goal"
    return "open" if words["door"] == "shut" else "put"


def ways(words: Words) -> dict[str, bool]:
    """Whether places are left that a way to explore would go to."""
    left = words["left"]
    return {"likely": words["likely"] == "yes", "surface": left in ("open", "both"), "closed": left in ("shut", "both")}


def exploring(way: str) -> Rule:
    """Does every part of the errand, and looks the given way first, then place after place."""
    return lambda words, rng: errand(words) or (way if ways(words).get(way) else "search")


likely_first = exploring("likely")


def straight(words: Words, rng: np.random.Generator) -> str:
    """Harmful where a treatment is asked for: brings things as they are."""
    if words["hand"] == "raw" and "light" not in words:
        return bring(words)
    return likely_first(words, rng)


def never_open(words: Words, rng: np.random.Generator) -> str:
    """Mediocre: leaves every door shut, so it finds only what lies open."""
    step = likely_first(words, rng)
    return step if step != "open" else "surface" if ways(words)["surface"] else "search"


def goal_first(words: Words, rng: np.random.Generator) -> str:
    """Harmful: goes between the goal and its surroundings before it has anything to bring."""
    return "search" if words["goal"] in ("here", "none") else "goal"


def put_away(words: Words, rng: np.random.Generator) -> str:
    """Harmful: puts down again whatever it took."""
    if words["hand"] != "empty":
        return "drop" if words["goal"] != "here" else "search"
    return likely_first(words, rng)


def wander(words: Words, rng: np.random.Generator) -> str:
    """Mediocre: does its errand half of the time, and otherwise looks anywhere."""
    step = errand(words)
    if step is not None and rng.random() < _WANDER_ERRAND:
        return step
    choices = ["search", "look", *(way for way in ("surface", "closed") if ways(words)[way])]
    return choices[int(rng.integers(len(choices)))]


SKILLS = {
    "likely_first": Strategy("search likely places first", likely_first),  # good
    "in_order": Strategy("search every place in order", exploring("search")),  # good, but slow
    "surfaces_first": Strategy("search open surfaces first", exploring("surface")),  # middling
    "closed_first": Strategy("open closed places first", exploring("closed")),  # middling
    "never_open": Strategy("never open any door", never_open),
    "straight": Strategy("bring it as it is", straight),
    "goal_first": Strategy("stay near the goal", goal_first),
    "put_away": Strategy("put everything back at once", put_away),
    "wander": Strategy("wander around the house", wander),
}


def script(level: str) -> Script:
    """The same for all levels: the sentence's first word tells the kind of task."""
    vocabulary = words()
    nouns = [word for word in vocabulary if ":" not in word and word not in (*KINDS, "to", "under")]
    goals = [f"{kind} {noun} to {noun}" for kind in KINDS if kind != "light" for noun in nouns]
    return Script(
        words=(*vocabulary, *ACTIONS),
        goals=(*goals, *(f"light {noun} under {noun}" for noun in nouns)),
        actions=ACTIONS,
        skills=SKILLS,
        spontaneous=("wander",),
    )
