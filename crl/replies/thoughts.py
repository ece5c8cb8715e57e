"""Where a reply stops thinking. A model that thinks aloud drafts answers: nothing before the end of a thought counts.

The marks are those that published models write, or that their templates write for them at the end of a prompt. Whether a
template writes others is asked by `reads_thoughts`.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from crl.errors import ConfigError
from crl.models.chat import ChatFormat, Message
from crl.types import Completion

_TAG = r"(?:\w{1,16}:)?(?:think|thinking|thoughts?|reasoning|scratchpad)(?::\w{1,16})?(?:\s[^<>]{0,64})?"
_OPENERS = (
    rf"<{_TAG}>",  # most models; Seed-OSS and MiniMax-M3 with a prefix, Hy3 with a suffix
    r"\[THINK\]",  # Magistral
    r"◁think▷",  # Kimi-VL
    r"<\|START_THINKING\|>",  # Command A
    r"<\|begin_of_thought\|>",  # OpenThinker
    r"<\|channel\|>(?:analysis|commentary)",  # gpt-oss
    r"<\|channel>thought",  # Gemma 4
    r"<\|open\|>think<\|sep\|>",  # Kimi-K3
    r"<\|think(?:ing)?\|>",  # Solar-Open
    r"<\|inner_prefix\|>",  # Apertus
    r"\bto=self<\|message\|>",  # muse
)
_CLOSERS = (
    rf"</{_TAG}>",
    r"\[/THINK\]",
    r"◁/think▷",
    r"<\|END_THINKING\|>(?:\s*<\|START_(?:RESPONSE|TEXT)\|>)?",
    r"<\|end_of_thought\|>",
    r"<\|channel\|>final(?:<\|message\|>)?",
    r"<channel\|>",
    r"<\|close\|>think<\|sep\|>(?:<\|open\|>response<\|sep\|>)?",
    r"<\|/think(?:ing)?\|>|<\|content\|>",
    r"<\|inner_suffix\|>",
    r"\bto=user<\|message\|>",
    r"\[BEGIN FINAL RESPONSE\]",  # Apriel
    r"^Here is my response:",  # Granite 3.2
)
# In plain words, so it opens a thought only where a template ends the prompt with it (Apriel-1.6): anybody may write it.
_HEADING = r"Here are my reasoning steps:"
# ASCII: without it, IGNORECASE also takes U+017F for "s" and U+212A for "k".
_FLAGS = re.IGNORECASE | re.ASCII | re.MULTILINE
_MARK = re.compile(f"(?P<closer>{'|'.join(_CLOSERS)})|{'|'.join(_OPENERS)}", _FLAGS)
_AT_END = re.compile(rf"(?:{'|'.join(_OPENERS)}|{_HEADING})\s*\Z", _FLAGS)
# What a template is asked by. Templates read a thought from a field of one of these names, some only if a switch is on.
_ASKED, _THOUGHT, _SAID = "Left or right?", "Left, or rather not.", "I go right."
_FIELDS = ("reasoning_content", "reasoning", "thinking", "thought")
_SWITCHES = ({}, {"enable_thinking": True}, {"thinking": True})
_OPEN = "<think>"  # stands for whatever the prompt opened a thought with: any closing mark ends it
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
    return (_OPEN if opened_thought(completion.prompt_ids, chat) else "") + completion.text


def reads_thoughts(tokenizer: PreTrainedTokenizerBase, arguments: Mapping[str, Any]) -> bool | None:
    """Whether the marks that the chat template writes around a thought are known here; None: it writes no thought.

    `arguments` are the template's own. What a template does not write of itself, such as a tool call's thought, is not asked.
    """
    asked = {"role": "user", "content": _ASKED}
    turn = {"role": "assistant", "content": _SAID} | dict.fromkeys(_FIELDS, _THOUGHT)
    for switch in _SWITCHES:
        told = {"tokenize": False, **arguments, **switch}
        try:
            prompt = tokenizer.apply_chat_template([asked], add_generation_prompt=True, **told)
            whole = tokenizer.apply_chat_template([asked, turn], **told)
        except Exception:  # noqa: BLE001  a template refuses what it likes; ChatFormat says what of that matters
            continue
        before, thought, said = whole.partition(_ASKED)[2].partition(_THOUGHT)
        if thought:
            unfinished = (_OPEN if _AT_END.search(prompt) else "") + before + thought
            finished = unfinished + said.partition(_SAID)[0] + _SAID
            return after_thoughts(unfinished) is None and (after_thoughts(finished) or "").strip() == _SAID
    return None


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
    text, before = chat.decode(reply_ids), _OPEN if opened else ""
    end = _end_of_thoughts(before + text)
    if end == 0:
        return tuple(prompt_ids), tuple(reply_ids)
    asked, start = len(prompt_ids), len(reply_ids)
    while opened and chat.decode(prompt_ids[asked:]) != opened:
        asked -= 1
    if end is not None:
        thought = text[: end - len(before)]
        start = bisect_left(range(start), True, key=lambda n: chat.decode(reply_ids[:n]).startswith(thought))
        while start < len(reply_ids) and not chat.decode(reply_ids[start : start + 1]).strip():
            start += 1
    return tuple(prompt_ids[:asked]), tuple(reply_ids[start:])
