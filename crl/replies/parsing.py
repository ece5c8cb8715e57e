"""Reading structure out of free model text: the last tagged block, and strict JSON.

Model output is untrusted: the work is linear in a bounded text, and nothing is guessed or repaired.
"""

import json
import re
from functools import cache
from itertools import accumulate
from typing import Any

from crl.replies.refusals import RefusalReason, Refused

MAX_REPLY_CHARS = 262_144  # about 65 k tokens, the longest context of the paper's extractor; the tail is read
MAX_JSON_CHARS = 65_536
MAX_JSON_DEPTH = 4  # list > operation > parameters > list of indices
_JSON_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # up to the end of the text where it is not closed


@cache
def _tag_pattern(tag: str) -> re.Pattern[str]:
    # ASCII: without it, IGNORECASE also takes U+017F for "s" and U+212A for "k".
    return re.compile(rf"<(/?){tag}>", re.IGNORECASE | re.ASCII)


def last_block(text: str, tag: str = "answer") -> str | None:
    """The content of the last complete <tag>...</tag>, innermost where they nest; None if there is none."""
    text = text[-MAX_REPLY_CHARS:]
    start, block = None, None
    for match in _tag_pattern(tag).finditer(text):
        if not match[1]:
            start = match.end()
        elif start is not None:
            block, start = (start, match.start()), None
    return text[slice(*block)].strip() if block else None


def answer_in(text: str, *, tagged: bool) -> str | None:
    """What a reply answers: its last <answer> block; where none is needed (not `tagged`) and none is there, all of it."""
    answer = last_block(text)
    return text.strip() if answer is None and not tagged else answer


def strict_json(text: str) -> Any:
    """Parse JSON without Python's extensions. Raises Refused, and nothing else, on any other text."""
    if len(text) > MAX_JSON_CHARS:
        raise Refused(RefusalReason.TOO_LONG, text)
    if _depth(text) > MAX_JSON_DEPTH:
        raise Refused(RefusalReason.TOO_DEEP, text)

    def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            raise Refused(RefusalReason.DUPLICATE_KEY, text)
        return values

    try:
        return json.loads(text, object_pairs_hook=unique_keys, parse_constant=_no_constant)
    except ValueError:  # bad syntax, or an integer of more digits than Python converts
        raise Refused(RefusalReason.BAD_JSON, text) from None


def _no_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _depth(text: str) -> int:
    """Deepest nesting of brackets outside strings, found before the recursive parser sees the text."""
    outside = _JSON_STRING.sub("", text)
    return max(accumulate(1 if char in "[{" else -1 for char in outside if char in "[{]}"), default=0)
