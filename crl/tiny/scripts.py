"""Whose scripted play warm-starts which entry of the mix: the family's own script, or chance where it has none."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from crl.config import Config
from crl.envs.family import Script, Strategy
from crl.envs.registry import family_class
from crl.tasks.sets import TaskSets
from crl.tiny.chance import chance_script
from crl.types import Task


@dataclass(frozen=True)
class Cast:
    """One entry's script, and the strategies that advised and unadvised episodes draw from."""

    script: Script
    advised: tuple[Strategy, ...]
    spontaneous: tuple[Strategy, ...]


def casts(config: Config, tasks: TaskSets) -> Mapping[str, Cast]:
    """By entry of the mix that can be played. Raises ConfigError for skills that a family does not have."""
    return {name: _cast(config, instances[0]) for name, instances in tasks.train.items()}


def _cast(config: Config, task: Task) -> Cast:
    family, settings = family_class(task.family), config.warm_start
    script = family.script(task.level) if hasattr(family, "script") else chance_script(config, task)
    skills = settings.skills.get(task.family, tuple(script.phrases))
    spontaneous = settings.spontaneous.get(task.family, script.spontaneous)
    return Cast(script, script.strategies(skills), script.strategies(spontaneous))


def draw(choices: tuple[Strategy, ...], rng: np.random.Generator) -> Strategy:
    return choices[int(rng.integers(len(choices)))]
