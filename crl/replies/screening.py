"""Which texts may become an experience: whatever enters the bank is shown to other episodes later.

The checks keep a text from posing as anything but a text: as a special token, as one of our tags, as
another turn of the conversation. Whether it helps is measured elsewhere (`bank.effect`). What only looks like such a thing is
let through: `>>>` before an example, a line "System: Linux", the joiners of Persian, Hindi and emoji.
"""

import re
import unicodedata
from dataclasses import dataclass

from crl.replies.refusals import RefusalReason

# Control, format (zero-width, bidi), surrogate, private, line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_UNDECODED = "\ufffd"  # what a broken byte sequence decodes to

_SPECIAL_TOKEN = re.compile(
    r"<\||\|>|</?s>|<(?:pad|unk|bos|eos|mask)>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|<｜|｜>", re.IGNORECASE
)
_MARKUP = re.compile(
    r"</?\s*(?:answer|think|search_and_ask|experience|transcript|tool_call|tool_response)\b"
    r"|<<<\s*(?:knowledge_item|end_item)|(?:knowledge_item|end_item)\s*>>>",
    re.IGNORECASE,
)
# Templates without special tokens write a turn as USER:, as a heading, or after an empty line; none writes it as a list.
_TURN = re.compile(
    r"(?P<apart>\n[^\S\n]*+\n)?^[^\S\n]*+(?![*+•-]\s)(?P<heading>\*\*|[^\w\s*+•>\"'`-])?(?:[^\w\n]|_){0,8}"
    r"(?P<role>system|user|human|assistant)(?:[^\w\n]|_){0,4}:",
    re.IGNORECASE | re.MULTILINE,
)
_JOINERS = frozenset("\u200c\u200d")  # they change how the characters beside them look
_VIRAMA = 9  # its canonical combining class
# A label also behind a sentence: "Title: Doors. Content: Look for the key."
_FORM = re.compile(
    r"</?(?:title|content)>|^\W{0,8}(?:title|content)\W{0,4}:|(?<=[.;,!?])[^\S\n]{1,4}(?:title|content)\W{0,4}:",
    re.IGNORECASE | re.MULTILINE,
)
_CLAUSE = re.compile(r"[.,;:!?\n]+")
_PART = re.compile(r"<(title|content)>(.*?)</\1>", re.IGNORECASE | re.DOTALL)
_ECHO_WORDS = 3  # fewer in a row are anybody's
_PLACEHOLDER = re.compile(
    r"[\W_]*|(?:new |merged |updated |refined )?(?:string|text|title|content|item|experience|knowledge|memory|lesson)"
    r"(?: text)?\s*\d{0,3}|(?:your|insert|put|write)\b.{0,40}\bhere|[<\[{(][^<>\[\]{}()]{0,60}[>\]})]",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class TextLimits:
    """Lengths in characters. The lower one weeds out remainders of a format, not short advice."""

    min_chars: int
    max_chars: int


def screen(text: str, limits: TextLimits, told: str = "") -> RefusalReason | None:
    """The first reason to refuse a (stripped) text, or None. `told`: the instructions that the text was written by."""
    if len(text) < limits.min_chars:
        return RefusalReason.TEXT_TOO_SHORT
    if len(text) > limits.max_chars:
        return RefusalReason.TEXT_TOO_LONG
    if any(_unseen(char) and not _joins(text, at) for at, char in enumerate(text)):
        return RefusalReason.TEXT_CONTROL
    if _SPECIAL_TOKEN.search(text):
        return RefusalReason.TEXT_SPECIAL_TOKEN
    if _MARKUP.search(text):
        return RefusalReason.TEXT_MARKUP
    if _poses_as_turn(text):
        return RefusalReason.TEXT_ROLE
    if _PLACEHOLDER.fullmatch(" ".join(_FORM.sub(" ", text).split())) or (told and _echoes(text, told)):
        return RefusalReason.TEXT_PLACEHOLDER
    return None


def _echoes(text: str, told: str) -> bool:
    """Whether a text is a piece of its own instructions, or fills a part of an entry's form with the words that show the form.

    A title may be a phrase of the instructions: it says what an advice is about, and so do they.
    """
    form = {(tag.lower(), _words(part)) for tag, part in _PART.findall(told)}
    parts = [(tag.lower(), _words(part)) for tag, part in _PART.findall(text)]
    if any(part in form for part in parts if part[1]):
        return True
    said = f" {_words(told)} "

    def echo(piece: str) -> bool:
        return piece.count(" ") >= _ECHO_WORDS - 1 and f" {piece} " in said

    pieces = [_words(text), *(words for tag, words in parts if tag == "content")]
    # In another order, too: where each clause is one of the instructions', nothing is the text's own.
    clauses = list(filter(None, map(_words, _CLAUSE.split(_FORM.sub("\n", text)))))
    return any(map(echo, pieces)) or (len(clauses) > 1 and all(map(echo, clauses)))


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", _FORM.sub(" ", text).casefold()))


def _unseen(char: str) -> bool:
    return char == _UNDECODED or (char not in "\n\t" and unicodedata.category(char) in _UNSEEN)


def _joins(text: str, at: int) -> bool:
    """Whether the character is a joiner in its place: after a virama, or between two signs of a script or emoji that use it.

    Nowhere beside ASCII: what the other checks look for cannot be split by it.
    """
    before, after = text[max(at - 1, 0) : at], text[at + 1 : at + 2]
    if text[at] not in _JOINERS or not before:
        return False
    return unicodedata.combining(before) == _VIRAMA or (_joinable(before) and _joinable(after))


def _joinable(char: str) -> bool:
    return char > "\x7f" and unicodedata.category(char) in ("So", "Sk", "Lo", "Mn", "Mc", "Me")


def _poses_as_turn(text: str) -> bool:
    """Whether a line reads as another speaker's turn. A plain label, say "System: Linux", is none; two speakers always are,
    and whoever speaks as the assistant.
    """
    turns = list(_TURN.finditer(text))
    speakers = {turn["role"].lower() for turn in turns}
    marked = any(turn["apart"] or turn["heading"] or turn["role"].isupper() for turn in turns)
    return marked or len(speakers) > 1 or "assistant" in speakers
