"""MiniHack's scripted play as a `Script`: a movement skill and an object skill, each with its phrase."""

from collections.abc import Sequence
from functools import partial

from crl.envs.family import Strategy, refuse_unknown_skills
from crl.envs.minihack.game import ACTION_NAMES
from crl.envs.minihack.levels import kind_of
from crl.envs.minihack.scripted import MOVEMENTS, OBJECTS, ScriptedPlayer
from crl.tiny.slots import minihack as slots

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
    """An experience text of the tiny extractor is a movement phrase, then an object phrase. Some help, some harm, some
    do neither; which is which depends on the task, and only outcomes tell."""

    actions = ACTION_NAMES
    phrases = PHRASES
    best = ("unvisited", "take_key")
    spontaneous = ("wander", "ignore_key")

    def __init__(self, level: str) -> None:
        self.words = (*slots.words(), *ACTION_NAMES)
        self.goals = (kind_of(level).short_goal,)

    def strategies(self, skills: Sequence[str]) -> tuple[Strategy, ...]:
        """All combinations of the named movement and object skills."""
        movements = [skill for skill in skills if skill in MOVEMENTS]
        objects = [skill for skill in skills if skill in OBJECTS]
        needs = "at least one movement and one object skill is needed"
        refuse_unknown_skills(skills, PHRASES, needs=needs, met=bool(movements and objects))
        return tuple(
            Strategy(f"{PHRASES[movement]} and {PHRASES[obj]}", partial(ScriptedPlayer, movement, obj))
            for movement in movements
            for obj in objects
        )
