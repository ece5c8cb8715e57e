"""Scripted players that read the `slots` sentence, and nothing else: no peeking by construction.

A player is a movement skill and an object skill. Some help, some harm, some do neither: together
they are warm-start data ("mediocre play") and the oracle that experience texts are measured against.
"""

from collections.abc import Callable

import numpy as np

from crl.envs.contract import Observation
from crl.envs.minihack.directions import STEPS
from crl.errors import ConfigError
from crl.tiny.slots.minihack import PASSABLE, SIDES

Words = dict[str, str]  # first half -> second half of each word, "stuck" -> ""


class ScriptedPlayer:
    """Plays one episode at a time by two skills; `start` before each episode."""

    def __init__(self, movement: str, objects: str, rng: np.random.Generator) -> None:
        _known("movement", movement, MOVEMENTS)
        _known("objects", objects, OBJECTS)
        self._move, self._handle, self._rng = MOVEMENTS[movement], OBJECTS[objects], rng
        self._last: str | None = None

    def start(self) -> None:
        """Forget the episode before."""
        self._last = None

    def act(self, observation: Observation) -> str:
        """The next action name for a `slots` observation."""
        words = parse(observation.text)
        action = self._handle(words, self._rng) or self._move(words, self._last, self._rng)
        self._last = action
        return action


def parse(text: str) -> Words:
    """`n:open e:wall stuck` -> {"n": "open", "e": "wall", "stuck": ""}. The neighbour marks come first,
    so a later word of the same name (`foe:east`) never hides one."""
    return {name: value for name, _, value in (word.partition(":") for word in text.split())}


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


# Movement skills: (words, last action, rng) -> action


def wander(words: Words, last: str | None, rng: np.random.Generator) -> str:
    """A random way; enters the stairs only when they are a neighbour."""
    return _beside("stairs", words) or _random(passable(words), rng)


def seek(words: Words, last: str | None, rng: np.random.Generator) -> str:
    """A random way until the stairs are seen, then straight to them."""
    return head_for(words["stairs"], words) or _random(passable(words), rng)


def unvisited(words: Words, last: str | None, rng: np.random.Generator) -> str:
    """Depth-first search by the marks; heads for the stairs once seen."""
    if (step := head_for(words["stairs"], words)) is not None:
        return step
    if (step := head_for(words.get("gate", ""), words)) is not None:
        return step
    return _by_preference(words, ("stairs", "key", "open", "seen", "foe", "old", "trap", "back"), rng)


def straight(words: Words, last: str | None, rng: np.random.Generator) -> str:
    """The last direction for as long as it leads anywhere, then a random one."""
    ways = passable(words)
    return last if last in ways and "stuck" not in words else _random(ways, rng)


def revisit(words: Words, last: str | None, rng: np.random.Generator) -> str:
    """Harmful: prefers cells it knows to new ones, and does not mind the stairs."""
    return _by_preference(words, ("old", "seen", "back", "open", "key", "foe", "trap", "stairs"), rng)


def stay_near(words: Words, last: str | None, rng: np.random.Generator) -> str:
    """Harmful: steps to and fro between two cells."""
    return _by_preference(words, ("back", "old", "seen", "open", "key", "foe", "trap", "stairs"), rng)


def avoid_stairs(words: Words, last: str | None, rng: np.random.Generator) -> str:
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


MOVEMENTS: dict[str, Callable[[Words, str | None, np.random.Generator], str]] = {
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


def _known(field: str, value: str, table: dict) -> None:
    if value not in table:
        raise ConfigError(f"{field} = {value!r}: no such scripted skill. Remedy: use one of {', '.join(table)}")
