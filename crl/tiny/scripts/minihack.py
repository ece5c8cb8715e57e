"""MiniHack's script: a strategy is a movement skill and an object skill, each with its phrase."""

from collections.abc import Sequence

import numpy as np

from crl.envs.minihack.directions import STEPS
from crl.envs.minihack.game import ACTION_NAMES
from crl.seeding import pick
from crl.tiny.scripts.script import Rule, Script, Strategy, Words, wished
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
    ways = passable(words)
    return next((way for way, mark in ways.items() if mark == "stairs"), None) or _random(ways, rng)


def seek(words: Words, rng: np.random.Generator) -> str:
    """A random way until the stairs are seen, then straight to them."""
    return head_for(words["stairs"], words) or _random(passable(words), rng)


def unvisited(words: Words, rng: np.random.Generator) -> str:
    """Depth-first search by the marks; heads for the stairs once seen."""
    if (step := head_for(words["stairs"], words)) is not None:
        return step
    if (step := head_for(words.get("gate", ""), words)) is not None:
        return step
    return _DEPTH_FIRST(words, rng)


def straight(words: Words, rng: np.random.Generator) -> str:
    """The last direction for as long as it leads anywhere, then a random one."""
    ways = passable(words)
    last = words["last"]
    return last if last in ways and "stuck" not in words else _random(ways, rng)


def avoid_stairs(words: Words, rng: np.random.Generator) -> str:
    """Harmful: explores, but walks away from the stairs once seen."""
    ways = {way: mark for way, mark in passable(words).items() if way not in words["stairs"]}
    fresh = {way: mark for way, mark in ways.items() if mark == "open"}
    return _random(fresh or ways or passable(words), rng)


def by_marks(*marks: str) -> Rule:
    """A random way among those with the first of the marks that there is."""

    def rule(words: Words, rng: np.random.Generator) -> str:
        ways = passable(words)
        return wished(ways, rng, *((mark,) for mark in marks)) or _random(ways, rng)

    return rule


def _random(ways: dict[str, str], rng: np.random.Generator) -> str:
    return pick(list(ways) or list(SIDES.values()), rng)  # walled in: any move is as good


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


_DEPTH_FIRST = by_marks("stairs", "key", "open", "seen", "foe", "old", "trap", "back")
MOVEMENTS = {
    "wander": Strategy("wander around", wander),
    "seek": Strategy("head for the stairs", seek),
    "unvisited": Strategy("go to open cells first", unvisited),
    "straight": Strategy("keep straight on", straight),
    # Harmful: prefers cells it knows to new ones, and does not mind the stairs.
    "revisit": Strategy(
        "go back to old cells", by_marks("old", "seen", "back", "open", "key", "foe", "trap", "stairs")
    ),
    # Harmful: steps to and fro between two cells.
    "stay_near": Strategy(
        "stay near the start", by_marks("back", "old", "seen", "open", "key", "foe", "trap", "stairs")
    ),
    "avoid_stairs": Strategy("avoid the stairs", avoid_stairs),
}
OBJECTS = {
    "take_key": Strategy("take the key to the door", take_key),
    "ignore_key": Strategy("leave the key alone", lambda words, rng: None),
}


class MiniHackScript(Script):
    """A `Script` whose strategies are all pairs of a movement and an object skill."""

    best = ("unvisited", "take_key")

    def strategies(self, skills: Sequence[str]) -> tuple[Strategy, ...]:
        """All combinations of the named movement and object skills. Raises ConfigError."""
        movements = [MOVEMENTS[skill] for skill in skills if skill in MOVEMENTS]
        objects = [OBJECTS[skill] for skill in skills if skill in OBJECTS]
        needs = "at least one movement and one object skill is needed"
        self.demand(skills, bool(movements and objects), needs)
        return tuple(
            Strategy(f"{move.advice} and {handle.advice}", _both(move.rule, handle.rule))
            for move in movements
            for handle in objects
        )


def script(level: str) -> MiniHackScript:
    """The same on every level but for the goal."""
    vocabulary, goal = (*words(), *ACTION_NAMES), goal_of(level)[0]
    return MiniHackScript(vocabulary, (goal,), ACTION_NAMES, MOVEMENTS | OBJECTS, spontaneous=("wander", "ignore_key"))


def _both(move: Rule, handle: Rule) -> Rule:
    """The object skill where it has something to do, else the movement skill."""
    return lambda words, rng: handle(words, rng) or move(words, rng)
