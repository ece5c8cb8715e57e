"""Sokoban's script. docs/envs/sokoban.md has what each skill reaches."""

import numpy as np

from crl.envs.sokoban.board import ACTIONS
from crl.envs.sokoban.generator import spec_of
from crl.tiny.scripts.script import SkillScript, Strategy, Words
from crl.tiny.slots.sokoban import GOAL, PUSHES, SIDES, words


def plan(words: Words, rng: np.random.Generator) -> str:
    """Good: pushes a box home or nearer, else walks to where that can be done, else loosens a box."""
    if words["spot"] in ACTIONS:
        return words["spot"]
    return _first(words, rng, ("home",), ("near",), ("away",)) or _toward_box(words, rng)


def goalward(words: Words, rng: np.random.Generator) -> str:
    """Fair: takes a good push that offers itself, else strolls and leaves the boxes alone."""
    return _first(words, rng, ("home",), ("near",), ("floor", "goal")) or _random(_movable(words), rng)


def careful(words: Words, rng: np.random.Generator) -> str:
    """Mediocre: pushes home where it can, else any move or push but into a corner."""
    return _first(words, rng, ("home",), ("floor", "goal", "near", "away")) or _random(_movable(words), rng)


def wander(words: Words, rng: np.random.Generator) -> str:
    """Poor: any move or push at all."""
    return _random(_movable(words), rng)


def nearest(words: Words, rng: np.random.Generator) -> str:
    """Poor: goes to the nearest box and pushes it whichever way it stands."""
    return _toward_box(words, rng)


def straight(words: Words, rng: np.random.Generator) -> str:
    """Poor: keeps its direction until something is in the way."""
    ways = _movable(words)
    return words["last"] if words["last"] in ways else _random(ways, rng)


def corners(words: Words, rng: np.random.Generator) -> str:
    """Harmful: pushes boxes into corners and away from the targets."""
    return _first(words, rng, ("corner",), ("away",), ("floor", "goal"), ("near",)) or _random(_movable(words), rng)


def hands_off(words: Words, rng: np.random.Generator) -> str:
    """Harmful: strolls and never pushes while there is any other way."""
    return _first(words, rng, ("floor", "goal")) or _random(_movable(words), rng)


SKILLS = {
    "plan": Strategy("go to the spot and push near", plan),
    "goalward": Strategy("push a box only near or home", goalward),
    "careful": Strategy("never push a box into a corner", careful),
    "wander": Strategy("walk and push at random", wander),
    "nearest": Strategy("push the nearest box any way", nearest),
    "straight": Strategy("keep moving straight until blocked", straight),
    "corners": Strategy("push boxes into the corners", corners),
    "hands_off": Strategy("leave the boxes alone", hands_off),
}


def script(level: str) -> SkillScript:
    """The same for all sizes of board. Raises EnvError for a level that does not exist."""
    spec_of(level)
    vocabulary = (*words(), *GOAL.split(), *ACTIONS)
    return SkillScript(vocabulary, (GOAL,), ACTIONS, SKILLS, spontaneous=("wander", "straight"))


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
