"""Scripted players that read the `slots` sentence, and nothing else: no peeking by construction.

Some skills help, some harm, some do neither: together they are warm-start data and what experience
texts are measured against. docs/envs/sokoban.md has what each of them reaches.
"""

from collections.abc import Callable

import numpy as np

from crl.envs.contract import Observation
from crl.envs.family import Skill, SkillScript
from crl.envs.sokoban.board import ACTIONS
from crl.tiny.slots import sokoban as slots
from crl.tiny.slots.sokoban import PUSHES, SIDES

SHORT_GOAL = "sokoban: push every box onto a goal"
Words = dict[str, str]  # first half -> second half of each word, "still" -> ""
Choice = Callable[[Words, str | None, np.random.Generator], str]  # (words, last action, rng) -> action


class Player:
    """Plays one episode by one skill."""

    def __init__(self, choose: Choice, rng: np.random.Generator) -> None:
        self._choose, self._rng = choose, rng
        self._last: str | None = None

    def act(self, observation: Observation) -> str:
        """The next action for a `slots` observation."""
        self._last = self._choose(parse(observation.text), self._last, self._rng)
        return self._last


def parse(text: str) -> Words:
    """`u:floor d:wall still` -> {"u": "floor", "d": "wall", "still": ""}."""
    return {name: value for name, _, value in (word.partition(":") for word in text.split())}


def plan(words: Words, last: str | None, rng: np.random.Generator) -> str:
    """Good: pushes a box home or nearer, else walks to where that can be done, else loosens a box."""
    if words["spot"] in ACTIONS:
        return words["spot"]
    return _first(words, rng, ("home",), ("near",), ("away",)) or _toward_box(words, rng)


def goalward(words: Words, last: str | None, rng: np.random.Generator) -> str:
    """Fair: takes a good push that offers itself, else strolls and leaves the boxes alone."""
    return _first(words, rng, ("home",), ("near",), ("floor", "goal")) or _random(_movable(words), rng)


def careful(words: Words, last: str | None, rng: np.random.Generator) -> str:
    """Mediocre: pushes home where it can, else any move or push but into a corner."""
    return _first(words, rng, ("home",), ("floor", "goal", "near", "away")) or _random(_movable(words), rng)


def wander(words: Words, last: str | None, rng: np.random.Generator) -> str:
    """Poor: any move or push at all."""
    return _random(_movable(words), rng)


def nearest(words: Words, last: str | None, rng: np.random.Generator) -> str:
    """Poor: goes to the nearest box and pushes it whichever way it stands."""
    return _toward_box(words, rng)


def straight(words: Words, last: str | None, rng: np.random.Generator) -> str:
    """Poor: keeps its direction until something is in the way."""
    ways = _movable(words)
    return last if last in ways else _random(ways, rng)


def corners(words: Words, last: str | None, rng: np.random.Generator) -> str:
    """Harmful: pushes boxes into corners and away from the targets."""
    return _first(words, rng, ("corner",), ("away",), ("floor", "goal"), ("near",)) or _random(_movable(words), rng)


def hands_off(words: Words, last: str | None, rng: np.random.Generator) -> str:
    """Harmful: strolls and never pushes while there is any other way."""
    return _first(words, rng, ("floor", "goal")) or _random(_movable(words), rng)


CHOICES: dict[str, tuple[str, Choice]] = {
    "plan": ("go to the spot and push near", plan),
    "goalward": ("push a box only near or home", goalward),
    "careful": ("never push a box into a corner", careful),
    "wander": ("walk and push at random", wander),
    "nearest": ("push the nearest box any way", nearest),
    "straight": ("keep moving straight until blocked", straight),
    "corners": ("push boxes into the corners", corners),
    "hands_off": ("leave the boxes alone", hands_off),
}
SPONTANEOUS = ("wander", "straight")


def script() -> SkillScript:
    """The script of every level: the sentence is the same for all sizes."""
    return SkillScript(
        words=(*slots.words(), *SHORT_GOAL.split(), *ACTIONS),
        goals=(SHORT_GOAL,),
        actions=ACTIONS,
        table={name: Skill(phrase, _starter(choose)) for name, (phrase, choose) in CHOICES.items()},
        spontaneous=SPONTANEOUS,
    )


def _starter(choose: Choice) -> Callable[[np.random.Generator], Player]:
    return lambda rng: Player(choose, rng)


def _movable(words: Words) -> dict[str, str]:
    """Action -> mark of the neighbours that give way."""
    return {action: words[side] for side, action in SIDES.items() if words[side] not in ("wall", "blocked")}


def _first(words: Words, rng: np.random.Generator, *wishes: tuple[str, ...]) -> str | None:
    """A random action among those with the first marks wished for that there are."""
    ways = _movable(words)
    for wish in wishes:
        if chosen := {action: mark for action, mark in ways.items() if mark in wish}:
            return _random(chosen, rng)
    return None


def _toward_box(words: Words, rng: np.random.Generator) -> str:
    if words["box"] in ACTIONS:
        return words["box"]
    return _first(words, rng, PUSHES) or _random(_movable(words), rng)


def _random(ways: dict[str, str], rng: np.random.Generator) -> str:
    choices = list(ways) or list(ACTIONS)  # walled in: any move is as good
    return choices[int(rng.integers(len(choices)))]
