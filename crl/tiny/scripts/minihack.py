"""MiniHack's script: a strategy is a movement skill and an object skill, each with its phrase."""

from collections.abc import Callable, Sequence

import numpy as np

from crl.envs.minihack.directions import STEPS
from crl.envs.minihack.game import ACTION_NAMES
from crl.tiny.scripts.script import Rule, Strategy, Words, refuse_unknown_skills
from crl.tiny.slots.minihack import PASSABLE, SIDES, goal_of, words


def passable(words: Words) -> dict[str, str]:
    """Direction -> mark of the neighbours that can be entered."""
    return {direction: words[side] for side, direction in SIDES.items() if words[side] in PASSABLE}


def head_for(place: str, words: Words) -> str | None:
    """The step that a landmark's word names, or None when it is not a direction or plainly blocked.

    After a bump ("stuck") a diagonal step is not tried again, but one of its open parts.
    """
    if place not in STEPS:
        return None
    ways = passable(words)
    if place in SIDES.values():
        return place if place in ways else None
    if "stuck" in words:
        return next((part for part in ways if part in place), None)
    return place


# Movement skills


def wander(words: Words, rng: np.random.Generator) -> str:
    """A random way; enters the stairs only when they are a neighbour."""
    return _beside("stairs", words) or _random(passable(words), rng)


def seek(words: Words, rng: np.random.Generator) -> str:
    """A random way until the stairs are seen, then straight to them."""
    return head_for(words["stairs"], words) or _random(passable(words), rng)


def unvisited(words: Words, rng: np.random.Generator) -> str:
    """Depth-first search by the marks; heads for the stairs once seen."""
    if (step := head_for(words["stairs"], words)) is not None:
        return step
    if (step := head_for(words.get("gate", ""), words)) is not None:
        return step
    return _by_preference(words, ("stairs", "key", "open", "seen", "foe", "old", "trap", "back"), rng)


def straight(words: Words, rng: np.random.Generator) -> str:
    """The last direction for as long as it leads anywhere, then a random one."""
    ways = passable(words)
    last = words["last"]
    return last if last in ways and "stuck" not in words else _random(ways, rng)


def revisit(words: Words, rng: np.random.Generator) -> str:
    """Harmful: prefers cells it knows to new ones, and does not mind the stairs."""
    return _by_preference(words, ("old", "seen", "back", "open", "key", "foe", "trap", "stairs"), rng)


def stay_near(words: Words, rng: np.random.Generator) -> str:
    """Harmful: steps to and fro between two cells."""
    return _by_preference(words, ("back", "old", "seen", "open", "key", "foe", "trap", "stairs"), rng)


def avoid_stairs(words: Words, rng: np.random.Generator) -> str:
    """Harmful: explores, but walks away from the stairs once seen."""
    ways = {way: mark for way, mark in passable(words).items() if way not in words["stairs"]}
    fresh = {way: mark for way, mark in ways.items() if mark == "open"}
    return _random(fresh or ways or passable(words), rng)


# Object skills: (words, rng) -> action, or None to leave the turn to the movement skill


def take_key(words: Words, rng: np.random.Generator) -> str | None:
    """Walks to the key once seen, picks it up, walks to the door once seen, applies the key there."""
    if words.get("key") == "here":
        return "pick_up"
    if words.get("key") != "have":
        return head_for(words.get("key", ""), words)
    if any(words[side] == "door" for side in SIDES):
        return "apply"
    return head_for(words.get("door", ""), words)


def ignore_key(words: Words, rng: np.random.Generator) -> str | None:
    """Never uses an object."""
    return None


MOVEMENTS: dict[str, Rule] = {
    "wander": wander,
    "seek": seek,
    "unvisited": unvisited,
    "straight": straight,
    "revisit": revisit,
    "stay_near": stay_near,
    "avoid_stairs": avoid_stairs,
}
OBJECTS: dict[str, Callable[[Words, np.random.Generator], str | None]] = {
    "take_key": take_key,
    "ignore_key": ignore_key,
}

PHRASES = {
    "wander": "wander around",
    "seek": "head for the stairs",
    "unvisited": "go to open cells first",
    "straight": "keep straight on",
    "revisit": "go back to old cells",
    "stay_near": "stay near the start",
    "avoid_stairs": "avoid the stairs",
    "take_key": "take the key to the door",
    "ignore_key": "leave the key alone",
}


class MiniHackScript:
    """A `Script` whose strategies are all pairs of a movement and an object skill."""

    actions = ACTION_NAMES
    phrases = PHRASES
    best = ("unvisited", "take_key")
    spontaneous = ("wander", "ignore_key")

    def __init__(self, level: str) -> None:
        self.words = (*words(), *ACTION_NAMES)
        self.goals = (goal_of(level)[0],)

    def strategies(self, skills: Sequence[str]) -> tuple[Strategy, ...]:
        """All combinations of the named movement and object skills."""
        movements = [skill for skill in skills if skill in MOVEMENTS]
        objects = [skill for skill in skills if skill in OBJECTS]
        needs = "at least one movement and one object skill is needed"
        refuse_unknown_skills(skills, PHRASES, needs=needs, met=bool(movements and objects))
        return tuple(
            Strategy(f"{PHRASES[movement]} and {PHRASES[thing]}", _both(MOVEMENTS[movement], OBJECTS[thing]))
            for movement in movements
            for thing in objects
        )


def _both(move: Rule, handle: Callable[[Words, np.random.Generator], str | None]) -> Rule:
    """The object skill where it has something to do, else the movement skill."""
    return lambda words, rng: handle(words, rng) or move(words, rng)


def _by_preference(words: Words, marks: tuple[str, ...], rng: np.random.Generator) -> str:
    ways = passable(words)
    for mark in marks:
        if chosen := {way: value for way, value in ways.items() if value == mark}:
            return _random(chosen, rng)
    return _random(ways, rng)


def _beside(mark: str, words: Words) -> str | None:
    return next((way for way, value in passable(words).items() if value == mark), None)


def _random(ways: dict[str, str], rng: np.random.Generator) -> str:
    choices = list(ways) or list(SIDES.values())  # walled in: any move is as good
    return choices[int(rng.integers(len(choices)))]
