"""Scripted players of the slots style: they read the sentence, and nothing else.

A player explores in its own way and does its errand (take, treat, bring, put) in its own way. Exploring costs
steps and a house has up to 54 places, so where one looks first decides; and a treatment left out fails.
"""

from collections.abc import Callable

import numpy as np

from crl.envs.contract import Observation
from crl.envs.family import Skill, SkillScript
from crl.tiny.slots.alfworld import ACTIONS, KINDS, words

Facts = dict[str, str]  # name -> mark; "kind" -> the sentence's first word
Rule = Callable[[Facts, np.random.Generator], str]
_OPEN, _SHUT = ("open", "both"), ("shut", "both")  # marks of `left`


class Player:
    """Plays one episode by one rule."""

    def __init__(self, rule: Rule, rng: np.random.Generator) -> None:
        self._rule, self._rng = rule, rng

    def act(self, observation: Observation) -> str:
        return self._rule(parse(observation.text), self._rng)


def parse(text: str) -> Facts:
    """`heat at:fridge want:here` -> {"kind": "heat", "at": "fridge", "want": "here"}."""
    kind, _, rest = text.partition(" ")
    return {"kind": kind, **dict(word.split(":", 1) for word in rest.split())}


def errand(facts: Facts) -> str | None:
    """The next step towards the goal, or None while something must be found first."""
    if facts["hand"] == "empty":
        if facts["want"] == "here":
            return "take"
        return "open" if facts["door"] == "shut" else "return" if facts["want"] == "known" else None
    if facts["hand"] == "raw":
        return {"here": "treat", "away": "tool"}.get(facts["tool"])
    return bring(facts)


def bring(facts: Facts) -> str:
    """To the goal, open it, put it down."""
    if facts["goal"] != "here":
        return "goal"
    return "open" if facts["door"] == "shut" else "put"


# Rules: (facts, rng) -> action


def likely_first(facts: Facts, rng: np.random.Generator) -> str:
    """Good: looks where such things lie, and does every part of the errand."""
    return errand(facts) or ("likely" if facts["likely"] == "yes" else "search")


def in_order(facts: Facts, rng: np.random.Generator) -> str:
    """Good, but slow: place after place."""
    return errand(facts) or "search"


def surfaces_first(facts: Facts, rng: np.random.Generator) -> str:
    """Middling: what lies open first."""
    return errand(facts) or ("surface" if facts["left"] in _OPEN else "search")


def closed_first(facts: Facts, rng: np.random.Generator) -> str:
    """Middling: every drawer and cabinet first."""
    return errand(facts) or ("closed" if facts["left"] in _SHUT else "search")


def straight(facts: Facts, rng: np.random.Generator) -> str:
    """Harmful where a treatment is asked for: brings things as they are."""
    if facts["hand"] == "raw" and facts["kind"] != "light":
        return bring(facts)
    return likely_first(facts, rng)


def never_open(facts: Facts, rng: np.random.Generator) -> str:
    """Mediocre: leaves every door shut, so it finds only what lies open."""
    step = likely_first(facts, rng)
    return step if step != "open" else "surface" if facts["left"] in _OPEN else "search"


def goal_first(facts: Facts, rng: np.random.Generator) -> str:
    """Harmful: goes between the goal and its surroundings before it has anything to bring."""
    return "search" if facts["goal"] in ("here", "none") else "goal"


def put_away(facts: Facts, rng: np.random.Generator) -> str:
    """Harmful: puts down again whatever it took."""
    if facts["hand"] != "empty":
        return "drop" if facts["goal"] != "here" else "search"
    return likely_first(facts, rng)


def wander(facts: Facts, rng: np.random.Generator) -> str:
    """Mediocre: does its errand half of the time, and otherwise looks anywhere."""
    step = errand(facts)
    if step is not None and rng.random() < _WANDER_ERRAND:
        return step
    ways = ["search", "look"]
    ways += ["surface"] if facts["left"] in _OPEN else []
    ways += ["closed"] if facts["left"] in _SHUT else []
    return ways[int(rng.integers(len(ways)))]


_WANDER_ERRAND = 0.5
SKILLS: dict[str, tuple[str, Rule]] = {
    "likely_first": ("search likely places first", likely_first),
    "in_order": ("search every place in order", in_order),
    "surfaces_first": ("search open surfaces first", surfaces_first),
    "closed_first": ("open closed places first", closed_first),
    "never_open": ("never open any door", never_open),
    "straight": ("bring it as it is", straight),
    "goal_first": ("stay near the goal", goal_first),
    "put_away": ("put everything back at once", put_away),
    "wander": ("wander around the house", wander),
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
        table={
            name: Skill(phrase, lambda rng, rule=rule: Player(rule, rng)) for name, (phrase, rule) in SKILLS.items()
        },
        spontaneous=("wander",),
    )
