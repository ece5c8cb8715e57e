"""Sokoban's script. docs/envs/sokoban.md has what each skill reaches."""

import numpy as np

from crl.envs.sokoban.board import ACTIONS
from crl.envs.sokoban.generator import spec_of
from crl.seeding import pick
from crl.tiny.scripts.script import Rule, Script, Strategy, Words, wished
from crl.tiny.slots.sokoban import GOAL, PUSHES, SIDES, words


def movable(words: Words) -> dict[str, str]:
    """Action -> mark of the neighbours that give way."""
    return {action: words[side] for side, action in SIDES.items() if words[side] not in ("wall", "blocked")}


def anything(words: Words, rng: np.random.Generator) -> str:
    """Any move or push at all."""
    return pick(list(movable(words)) or ACTIONS, rng)  # walled in: any move is as good


def by_wishes(*wishes: tuple[str, ...]) -> Rule:
    """Any of the moves whose marks are in the first wish that is met, else any."""
    return lambda words, rng: wished(movable(words), rng, *wishes) or anything(words, rng)


def plan(words: Words, rng: np.random.Generator) -> str:
    """Pushes a box home or nearer, else walks to where that can be done, else loosens a box."""
    if words["spot"] in ACTIONS:
        return words["spot"]
    return wished(movable(words), rng, ("home",), ("near",), ("away",)) or nearest(words, rng)


def nearest(words: Words, rng: np.random.Generator) -> str:
    """Goes to the nearest box and pushes it whichever way it stands."""
    if words["box"] in ACTIONS:
        return words["box"]
    return wished(movable(words), rng, PUSHES) or anything(words, rng)


def straight(words: Words, rng: np.random.Generator) -> str:
    """Keeps its direction until something is in the way."""
    return words["last"] if words["last"] in movable(words) else anything(words, rng)


_STROLL = ("floor", "goal")
SKILLS = {
    # Good.
    "plan": Strategy("go to the spot and push near", plan),
    # Fair: takes a good push that offers itself, else strolls and leaves the boxes alone.
    "goalward": Strategy("push a box only near or home", by_wishes(("home",), ("near",), _STROLL)),
    # Mediocre: pushes home where it can, else any move or push but into a corner.
    "careful": Strategy("never push a box into a corner", by_wishes(("home",), (*_STROLL, "near", "away"))),
    # Poor.
    "wander": Strategy("walk and push at random", anything),
    "nearest": Strategy("push the nearest box any way", nearest),
    "straight": Strategy("keep moving straight until blocked", straight),
    # Harmful: pushes boxes into corners and away from the targets.
    "corners": Strategy("push boxes into the corners", by_wishes(("corner",), ("away",), _STROLL, ("near",))),
    # Harmful: strolls and never pushes while there is any other way.
    "hands_off": Strategy("leave the boxes alone", by_wishes(_STROLL)),
}


def script(level: str) -> Script:
    """The same for all sizes of board. Raises EnvError for a level that does not exist."""
    spec_of(level)
    vocabulary = (*words(), *GOAL.split(), *ACTIONS)
    return Script(vocabulary, (GOAL,), ACTIONS, SKILLS, spontaneous=("wander", "straight"))
