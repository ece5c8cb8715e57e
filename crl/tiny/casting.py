"""Who plays what in the warm start: each entry's script (or chance, where it has none), each episode's strategy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crl.config import Config
from crl.episode.plan import EpisodeSpec
from crl.seeding import stream
from crl.tasks.sets import TaskSets
from crl.tiny.scripts import script_of
from crl.tiny.scripts.chance import chance_script
from crl.tiny.scripts.script import Script, Strategy
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
    settings, script = config.warm_start, script_of(task.family, task.level) or chance_script(config, task)
    skills = settings.skills.get(task.family, tuple(script.phrases))
    spontaneous = settings.spontaneous.get(task.family, script.spontaneous)
    return Cast(script, script.strategies(skills), script.strategies(spontaneous))


def draw(choices: tuple[Strategy, ...], rng: np.random.Generator) -> Strategy:
    return choices[int(rng.integers(len(choices)))]


@dataclass(frozen=True)
class Casting:
    """Which episode plays which strategy: advised ones any of their entry's, the others a spontaneous one."""

    seed: int
    casts: Mapping[str, Cast]  # by entry of the mix
    specs: Mapping[str, EpisodeSpec]  # by the episode's key

    @classmethod
    def of(cls, seed: int, casts: Mapping[str, Cast], specs: Sequence[EpisodeSpec]) -> "Casting":
        return cls(seed, casts, {str(spec.key): spec for spec in specs})

    def strategy(self, key: str) -> Strategy:
        cast, guided = self.casts[self.specs[key].task.name], self.specs[key].guided
        return draw(cast.advised if guided else cast.spontaneous, stream(self.seed, "casting", key))
