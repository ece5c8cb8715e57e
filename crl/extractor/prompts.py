"""The extractor's three prompts (distil, merge, ask) in the style that fits the model."""

from collections.abc import Sequence
from types import ModuleType

from crl.extractor import prompts_full
from crl.extractor.transcript import transcript
from crl.models.chat import Message
from crl.replies.parsing import Style
from crl.tiny import extractor_prompts as prompts_compact
from crl.types import Episode

_STYLES: dict[Style, ModuleType] = {"full": prompts_full, "compact": prompts_compact}


def distil_messages(
    style: Style, episode: Episode, entries: Sequence[str], *, max_operations: int, last_turns: int | None
) -> list[Message]:
    """Ask for operations. `entries` are what the episode had retrieved, numbered from 1 in the prompt (method 8.1)."""
    return _STYLES[style].distil(
        task=episode.task.name,
        goal=episode.goal,
        outcome=episode.outcome.value,
        transcript=transcript(episode, last_turns),
        entries=entries,
        max_operations=max_operations,
    )


def merge_messages(style: Style, scope: str, entries: Sequence[str]) -> list[Message]:
    """Ask for fewer, stronger entries in place of these (method 8.2)."""
    return _STYLES[style].merge(scope=scope, entries=entries)


def ask_messages(style: Style, query: str, entry: str) -> list[Message]:
    """Ask for help to a stuck actor, given what its query retrieved (method 8.4)."""
    return _STYLES[style].ask(query=query, entry=entry)
