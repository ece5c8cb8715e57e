"""Where a reply stops thinking. A model that thinks aloud drafts answers: nothing before the end of a thought counts.

The marks are those that published models write, or that their templates write for them at the end of a prompt.
"""

import re
from collections.abc import Sequence

from crl.models.chat import ChatFormat
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
    start = 0
    for mark in _MARK.finditer(text):
        start = mark.end() if mark["closer"] else None
    return None if start is None else text[start:]


def opened_thought(prompt_ids: Sequence[int], chat: ChatFormat) -> str:
    """The mark that a prompt ends with, where its template begins the reply with a thought; else ""."""
    mark = _AT_END.search(chat.decode(prompt_ids[-_TAIL_IDS:]))
    return mark[0] if mark else ""


def whole_reply(completion: Completion, chat: ChatFormat) -> str:
    """A reply as the readers need it: with the thought that its prompt had opened for it."""
    return opened_thought(completion.prompt_ids, chat) + completion.text
