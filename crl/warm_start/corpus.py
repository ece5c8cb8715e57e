"""What the tokenizer of scratch models is trained on: every word that the compact prompts and replies can hold."""

import json
from collections.abc import Iterator

import numpy as np

from crl.config import Config
from crl.envs.minihack import slots
from crl.envs.minihack.game import ACTION_NAMES
from crl.envs.minihack.levels import kind_of
from crl.types import Outcome
from crl.warm_start.strategies import PHRASES, strategies

REPEATS = 2  # the tokenizer takes words seen once for noise


def texts(config: Config) -> Iterator[str]:
    """Words in the company they will have, so that merges end at the same borders."""
    words = [*slots.words(), *ACTION_NAMES, *(outcome.value for outcome in Outcome), "advice:", "unknown", "distil", "merge", "ask"]
    words += ["consider:", "success", "accept", "refine", "reject", *config.tasks.mix, *map(str, range(1, 10))]
    sentences = [kind_of(entry.level).short_goal for entry in config.tasks.mix.values()]
    sentences += [*PHRASES.values(), *(strategy.advice for strategy in strategies(config.warm_start.skills))]
    for _ in range(REPEATS):
        yield from words
        yield from (f"x {word}" for word in words)
        yield from sentences
        yield from (f"x {sentence}" for sentence in sentences)
        yield from (add(sentence) for sentence in sentences)
        yield from (update(1, sentence) for sentence in sentences)
        yield RETURN


def add(text: str) -> str:
    """The extractor's reply that adds an entry; the same machine format as for large models."""
    return json.dumps([{"function_name": "add", "parameters": {"new_memory": text}}])


def update(target: int, text: str) -> str:
    return json.dumps([{"function_name": "update", "parameters": {"target_idx": [target], "new_memory": text}}])


RETURN = json.dumps([{"function_name": "return"}])


def random_reply(advice: str, entries: int, rng: np.random.Generator) -> str:
    """A valid reply: mostly an add, an update where there is something to update, now and then a return."""
    draw = rng.random()
    if draw < 0.1:
        return RETURN
    if draw < 0.3 and entries:
        return update(int(rng.integers(entries)) + 1, advice)
    return add(advice)
