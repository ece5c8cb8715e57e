"""Scripted play for families that bring none: random actions, with a liking for one of them that advice can name.

A tiny model that saw it knows the environment's words and actions and follows "use NAME often"; which action is worth
a liking is for the outcomes to tell.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from crl.config import Config
from crl.envs.contract import Observation, TextEnv
from crl.envs.family import Skill, SkillScript
from crl.envs.registry import make_env
from crl.errors import ConfigError
from crl.seeding import stream
from crl.types import Task

ANY = "any"
LIKING = 0.6  # probability of the liked action
_SAMPLES = 20  # episodes whose words the tokenizer learns


@dataclass
class ChancePlayer:
    """Any of the actions; the liked one more often."""

    actions: tuple[str, ...]
    liked: str | None
    rng: np.random.Generator

    def act(self, observation: Observation) -> str:
        if self.liked is not None and self.rng.random() < LIKING:
            return self.liked
        return self.actions[int(self.rng.integers(len(self.actions)))]


def chance_script(config: Config, task: Task) -> SkillScript:
    """Likings for each action that the first observation offers. Raises ConfigError when it offers none."""
    with closing(make_env(task.family, config.envs.observation, config.envs.sandbox)) as env:
        actions = env.reset(task).actions
        if not actions:
            raise ConfigError(
                f"tasks.mix.{task.name}.family = {task.family!r}: offers no action names to play at random, and has no script. "
                "Remedy: give the class a `script` (crl.envs.family), or train a named model, which needs no warm start"
            )
        texts = tuple(_texts(env, task, actions))
    table = {ANY: Skill("use any action", lambda rng: ChancePlayer(actions, None, rng))}
    for name in actions:
        table[name] = Skill(f"use {name} often", lambda rng, name=name: ChancePlayer(actions, name, rng))
    words = tuple(dict.fromkeys(word for text in texts for word in text.split()))
    return SkillScript((*words, *actions), (texts[0],), actions, table, spontaneous=(ANY,))


def _texts(env: TextEnv, task: Task, actions: tuple[str, ...]) -> Iterator[str]:
    """The goal, then what random episodes show."""
    yield env.reset(task).goal
    for sample in range(_SAMPLES):
        rng, observation = stream("chance", task.id, sample), env.reset(task)
        yield observation.text
        for _ in range(task.max_steps):
            result = env.step(actions[int(rng.integers(len(actions)))])
            yield result.observation.text
            if result.done:
                break
