"""ALFWorld's script: a skill explores in its own way and does its errand (take, treat, bring, put) in its own way.

Exploring costs steps and a house has up to 54 places, so where one looks first decides; and a treatment left out fails.
"""

import numpy as np

from crl.tiny.scripts.script import SkillScript, Strategy, Words
from crl.tiny.slots.alfworld import ACTIONS, KINDS, words

_OPEN, _SHUT = ("open", "both"), ("shut", "both")  # marks of `left`
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


def likely_first(words: Words, rng: np.random.Generator) -> str:
    """Good: looks where such things lie, and does every part of the errand."""
    return errand(words) or ("likely" if words["likely"] == "yes" else "search")


def in_order(words: Words, rng: np.random.Generator) -> str:
    """Good, but slow: place after place."""
    return errand(words) or "search"


def surfaces_first(words: Words, rng: np.random.Generator) -> str:
    """Middling: what lies open first."""
    return errand(words) or ("surface" if words["left"] in _OPEN else "search")


def closed_first(words: Words, rng: np.random.Generator) -> str:
    """Middling: every drawer and cabinet first."""
    return errand(words) or ("closed" if words["left"] in _SHUT else "search")


def straight(words: Words, rng: np.random.Generator) -> str:
    """Harmful where a treatment is asked for: brings things as they are."""
    if words["hand"] == "raw" and "light" not in words:
        return bring(words)
    return likely_first(words, rng)


def never_open(words: Words, rng: np.random.Generator) -> str:
    """Mediocre: leaves every door shut, so it finds only what lies open."""
    step = likely_first(words, rng)
    return step if step != "open" else "surface" if words["left"] in _OPEN else "search"


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
    ways = ["search", "look"]
    ways += ["surface"] if words["left"] in _OPEN else []
    ways += ["closed"] if words["left"] in _SHUT else []
    return ways[int(rng.integers(len(ways)))]


SKILLS = {
    "likely_first": Strategy("search likely places first", likely_first),
    "in_order": Strategy("search every place in order", in_order),
    "surfaces_first": Strategy("search open surfaces first", surfaces_first),
    "closed_first": Strategy("open closed places first", closed_first),
    "never_open": Strategy("never open any door", never_open),
    "straight": Strategy("bring it as it is", straight),
    "goal_first": Strategy("stay near the goal", goal_first),
    "put_away": Strategy("put everything back at once", put_away),
    "wander": Strategy("wander around the house", wander),
}


def script(level: str) -> SkillScript:
    """The same for all levels: the sentence's first word tells the kind of task."""
    vocabulary = words()
    nouns = [word for word in vocabulary if ":" not in word and word not in (*KINDS, "to", "under")]
    goals = [f"{kind} {noun} to {noun}" for kind in KINDS if kind != "light" for noun in nouns]
    return SkillScript(
        words=(*vocabulary, *ACTIONS),
        goals=(*goals, *(f"light {noun} under {noun}" for noun in nouns)),
        actions=ACTIONS,
        skills=SKILLS,
        spontaneous=("wander",),
    )
