"""Scripted play for families that bring none: random actions, with a liking for one of them that advice can name.

A tiny model that saw it knows the environment's words and actions and follows "use NAME often"; which action is worth
a liking is for the outcomes to tell.
"""

from collections.abc import Iterator
from contextlib import closing

import numpy as np

from crl.config import Config
from crl.envs.contract import TextEnv
from crl.envs.registry import make_env
from crl.errors import ConfigError
from crl.seeding import pick, stream
from crl.tiny.scripts.script import Rule, Script, Strategy, Words
from crl.types import Task

ANY = "any"
LIKING = 0.6  # probability of the liked action
_SAMPLES = 20  # episodes whose words the tokenizer learns


def chance_script(config: Config, task: Task) -> Script:
    """Likings for each action that the first observation offers. Raises ConfigError when it offers none."""
    with closing(make_env(task.family, config.envs.observation, config.envs.sandbox)) as env:
        actions = env.reset(task).actions
        if not actions:
            raise ConfigError(
                f"tasks.mix.{task.name}.family = {task.family!r}: offers no action names to play at random, and has no script. "
                "Remedy: give the class a `script` (crl.envs.family), or train a named model, which needs no warm start"
            )
        texts = tuple(_texts(env, task, actions))
    skills = {ANY: Strategy("use any action", _liking(actions))}
    skills |= {name: Strategy(f"use {name} often", _liking(actions, name)) for name in actions}
    words = tuple(dict.fromkeys(word for text in texts for word in text.split()))
    return Script((*words, *actions), (texts[0],), actions, skills, spontaneous=(ANY,))


def _liking(actions: tuple[str, ...], liked: str | None = None) -> Rule:
    """Any of the actions; the liked one more often."""

    def rule(words: Words, rng: np.random.Generator) -> str:
        if liked is not None and rng.random() < LIKING:
            return liked
        return pick(actions, rng)

    return rule


def _texts(env: TextEnv, task: Task, actions: tuple[str, ...]) -> Iterator[str]:
    """The goal, then what random episodes show."""
    yield env.reset(task).goal
    for sample in range(_SAMPLES):
        rng, observation = stream("chance", task.id, sample), env.reset(task)
        yield observation.text
        for _ in range(task.max_steps):
            result = env.step(pick(actions, rng))
            yield result.observation.text
            if result.done:
                break
