"""What the tokenizer of scratch models is trained on: every word that the compact prompts and replies can hold."""

from collections.abc import Iterator, Mapping

from crl.config import Config
from crl.tiny.casting import Cast
from crl.tiny.prompts import NOW
from crl.tiny.taught_replies import kinds_taught, merge_reply, operations_reply
from crl.types import Outcome

_PROMPT_WORDS = (
    NOW, "advice:", "unknown", "distil", "merge", "ask", "consider:", "success", "accept", "refine", "reject",
    *map(str, range(1, 10)),
)  # fmt: skip
REPEATS = 2  # the tokenizer takes words seen once for noise
ACTION_REPEATS = (
    200  # an action that is more than one token is slower to say and harder to learn: none may lose its place
)


def texts(config: Config, casts: Mapping[str, Cast]) -> Iterator[str]:
    """Words in the company they will have, so that merges end at the same borders."""
    scripts = [cast.script for cast in casts.values()]
    family_words = dict.fromkeys(word for script in scripts for word in script.words)
    words = [*family_words, *(outcome.value for outcome in Outcome), *_PROMPT_WORDS, *casts]
    goals = [goal for script in scripts for goal in script.goals]
    named = [(script, strategy) for script in scripts for strategy in script.skills.values()]
    named += [(cast.script, strategy) for cast in casts.values() for strategy in cast.advised]
    advice = [script.told(strategy, sentence) for script, strategy in named for sentence in script.situations]
    sentences = [*goals, *dict.fromkeys(advice)]
    actions = dict.fromkeys(action for script in scripts for action in script.actions)
    for _ in range(ACTION_REPEATS):
        yield from actions
    for _ in range(REPEATS):
        yield from words
        yield from (f"x {word}" for word in words)
        yield from sentences
        yield from (f"x {sentence}" for sentence in sentences)
        for sentence in sentences:
            yield from (operations_reply(sentence, kind, config) for kind in kinds_taught(config))
            yield merge_reply(sentence, config)
