"""What the extractor is asked (distil, merge, ask) and how it may reply, by the prompt set that fits the model."""

from collections.abc import Sequence
from functools import cache
from typing import Protocol

from crl.config.choices import EXTRACTOR_PROMPTS
from crl.extractor.sentence import Form
from crl.models.chat import Message
from crl.types import Episode


class ExtractorPrompts(Protocol):
    """`extractor.prompts` names one."""

    min_chars: int  # shortest text of an experience; weeds out remainders of a format, not short advice
    form: Form  # of the replies to `distil` and `merge` (crl/extractor/sentence.py)
    # A set may also name `phrases`: those of its own words that stand in user messages. A reply that repeats them has said nothing.

    def distil(
        self, episode: Episode, entries: Sequence[str], *, max_operations: int, last_turns: int | None
    ) -> list[Message]:
        """Ask for operations. `entries` are what the episode had retrieved, numbered from 1 in the prompt (method 8.1).

        A set that shows the transcript shows its last turns (None: all).
        """
        ...

    def merge(self, scope: str, entries: Sequence[str]) -> list[Message]:
        """Ask for fewer, stronger entries in place of these (method 8.2)."""
        ...

    def ask(self, query: str, entry: str) -> list[Message]:
        """Ask for help to a stuck actor, given what its query retrieved (method 8.4)."""
        ...


def instructions(messages: Sequence[Message], prompts: ExtractorPrompts | None = None) -> str:
    """What a prompt says of itself, whatever it is about: its system messages, and the set's `phrases`.

    A reply that repeats it has said nothing.
    """
    system = [message.content for message in messages if message.role == "system"]
    return "\n".join([*system, *getattr(prompts, "phrases", ())])


@cache
def extractor_prompts(name: str) -> ExtractorPrompts:
    """The prompt set of this name, or `module:Class`. Raises ConfigError."""
    return EXTRACTOR_PROMPTS.load(name, "extractor.prompts")()
