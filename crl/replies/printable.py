"""Untrusted text, of models and environments, as it may be shown to people."""

import re

MAX_TEXT_CHARS = 4000  # of one piece; the rest is cut with a note
# C0 and C1 controls but tab and newline, lone surrogates, and marks that reorder or hide text
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """What would control a terminal, reorder or hide text is a replacement character; markup is still to be escaped."""
    return UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n"))


def plain(text: str) -> str:
    """Printable and bounded."""
    text = printable(text)
    left = len(text) - MAX_TEXT_CHARS
    return f"{text[:MAX_TEXT_CHARS]} … ({left} more characters)" if left > 0 else text
