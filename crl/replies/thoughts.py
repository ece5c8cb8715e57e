"""Where a reply stops thinking. A model that thinks aloud drafts answers: nothing before the end of a thought counts.

The marks are those that published models write, or that their templates write for them at the end of a prompt.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence

from crl.errors import ConfigError
from crl.models.chat import ChatFormat, Message
from crl.types import Completion

_OPENERS = (
    r"<(?:seed:)?(?:think|thinking|thought|reasoning)>",  # most models; Seed-OSS with its prefix
    r"\[THINK\]",  # Magistral
    r"◁think▷",  # Kimi
    r"<\|START_THINKING\|>",  # Command A
    r"<\|begin_of_thought\|>",  # OpenThinker
    r"<\|channel\|>(?:analysis|commentary)",  # gpt-oss
)
_CLOSERS = (
    r"</(?:seed:)?(?:think|thinking|thought|reasoning)>",
    r"\[/THINK\]",
    r"◁/think▷",
    r"<\|END_THINKING\|>",
    r"<\|end_of_thought\|>",
    r"<\|channel\|>final(?:<\|message\|>)?",
)
# ASCII: without it, IGNORECASE also takes U+017F for "s" and U+212A for "k".
_MARK = re.compile(f"(?P<closer>{'|'.join(_CLOSERS)})|{'|'.join(_OPENERS)}", re.IGNORECASE | re.ASCII)
_AT_END = re.compile(rf"(?:{'|'.join(_OPENERS)})\s*\Z", re.IGNORECASE | re.ASCII)
_TAIL_IDS = 32  # the longest opener, byte by byte, and the line breaks after it


def after_thoughts(text: str) -> str | None:
    """What a reply says after the last of its thoughts; None where a thought never ends. Linear in the text.

    Any closing mark ends a thought, also one whose beginning stands in the prompt.
    """
    start = _end_of_thoughts(text)
    return None if start is None else text[start:]


def _end_of_thoughts(text: str) -> int | None:
    start = 0
    for mark in _MARK.finditer(text):
        start = mark.end() if mark["closer"] else None
    return start


def opened_thought(prompt_ids: Sequence[int], chat: ChatFormat) -> str:
    """The mark that a prompt ends with, where its template begins the reply with a thought; else ""."""
    mark = _AT_END.search(chat.decode(prompt_ids[-_TAIL_IDS:]))
    return mark[0] if mark else ""


def whole_reply(completion: Completion, chat: ChatFormat) -> str:
    """A reply as the readers need it: with the thought that its prompt had opened for it."""
    return opened_thought(completion.prompt_ids, chat) + completion.text


def check_marks(chat: ChatFormat) -> None:
    """Raises ConfigError for a model whose thoughts cannot be told from the rest by its tokens (`actor.thoughts: drop`)."""
    opened = opened_thought(chat.open([Message("user", "")]), chat).strip()
    ends = any(re.fullmatch("|".join(_CLOSERS), marker, _MARK.flags) for marker in chat.markers)
    if not ends or (opened and opened not in chat.markers):
        fault = f"opens thoughts with {opened}, no token of its own" if ends else "has no token that ends a thought"
        raise ConfigError(
            f"actor.thoughts = 'drop': the actor's chat template {fault}. Remedy: actor.thoughts: keep, or a model that thinks "
            "between such tokens (<think> and </think>; docs/chat_models.md)"
        )


def passed_turn(
    prompt_ids: Sequence[int], reply_ids: Sequence[int], chat: ChatFormat
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What is left of a turn without its thoughts: of its prompt and of its reply, as the ids that they were.

    A prompt loses the mark that it opened the thought with, a reply all up to the last mark that ends one, and the white space
    behind that, as templates have it; the whole of it where a thought never ends. Only whole tokens are kept.
    """
    opened = opened_thought(prompt_ids, chat)
    text = chat.decode(reply_ids)
    end = _end_of_thoughts(opened + text)
    if end == 0:
        return tuple(prompt_ids), tuple(reply_ids)
    asked, start = len(prompt_ids), len(reply_ids)
    while opened and chat.decode(prompt_ids[asked:]) != opened:
        asked -= 1
    if end is not None:
        thought = text[: end - len(opened)]
        start = bisect_left(range(start), True, key=lambda n: chat.decode(reply_ids[:n]).startswith(thought))
        while start < len(reply_ids) and not chat.decode(reply_ids[start : start + 1]).strip():
            start += 1
    return tuple(prompt_ids[:asked]), tuple(reply_ids[start:])
