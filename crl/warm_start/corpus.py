"""What the tokenizer of scratch models is trained on: every word that the compact prompts and replies can hold."""

from collections.abc import Iterator

from crl.config import Config
from crl.envs.minihack import slots
from crl.envs.minihack.game import ACTION_NAMES
from crl.envs.minihack.levels import kind_of
from crl.types import OperationKind, Outcome
from crl.warm_start.replies import merge_reply, operations_reply
from crl.warm_start.strategies import PHRASES, strategies

_PROMPT_WORDS = (
    "advice:", "unknown", "distil", "merge", "ask", "consider:", "success", "accept", "refine", "reject", *map(str, range(1, 10)),
)  # fmt: skip
REPEATS = 2  # the tokenizer takes words seen once for noise


def texts(config: Config) -> Iterator[str]:
    """Words in the company they will have, so that merges end at the same borders."""
    words = [*slots.words(), *ACTION_NAMES, *(outcome.value for outcome in Outcome), *_PROMPT_WORDS, *config.tasks.mix]
    sentences = [kind_of(entry.level).short_goal for entry in config.tasks.mix.values()]
    sentences += [*PHRASES.values(), *(strategy.advice for strategy in strategies(config.warm_start.skills))]
    for _ in range(REPEATS):
        yield from words
        yield from (f"x {word}" for word in words)
        yield from sentences
        yield from (f"x {sentence}" for sentence in sentences)
        for sentence in sentences:
            yield from (operations_reply(sentence, kind, config) for kind in OperationKind)
            yield merge_reply(sentence)
