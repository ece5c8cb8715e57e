"""The advice that tiny models understand: a phrase for each scripted skill.

An experience text of the tiny extractor is a movement phrase, then an object phrase. Some help, some harm,
some do neither; which is which depends on the task, and only outcomes tell.
"""

from dataclasses import dataclass

import numpy as np

from crl.envs.minihack.scripted import MOVEMENTS, OBJECTS
from crl.errors import ConfigError

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


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to play: a movement skill and an object skill."""

    movement: str
    objects: str

    @property
    def advice(self) -> str:
        return f"{PHRASES[self.movement]} and {PHRASES[self.objects]}"


def strategies(skills: tuple[str, ...]) -> tuple[Strategy, ...]:
    """All combinations of the named skills. Raises ConfigError for names that nobody can play."""
    unknown = [skill for skill in skills if skill not in PHRASES]
    movements = [skill for skill in skills if skill in MOVEMENTS]
    objects = [skill for skill in skills if skill in OBJECTS]
    if unknown or not movements or not objects:
        raise ConfigError(
            f"warm_start.skills or .spontaneous = {list(skills)}: unknown {unknown or 'none'}; at least one movement and one "
            f"object skill is needed. Remedy: choose from {', '.join(MOVEMENTS)} and {', '.join(OBJECTS)}"
        )
    return tuple(Strategy(movement, obj) for movement in movements for obj in objects)


def draw(choices: tuple[Strategy, ...], rng: np.random.Generator) -> Strategy:
    return choices[int(rng.integers(len(choices)))]
