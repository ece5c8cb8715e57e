"""Reading structure out of free model text: the last tagged block, and JSON.

Model output is untrusted: the work is linear in a bounded text, and nothing is guessed. What can be read in one way alone is
read that way, though it is not to the letter: a Markdown fence around the whole, a comma after the last value, a line
break inside a string.
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
_LAST_COMMA = re.compile(rf"(?P<string>{_JSON_STRING.pattern})|,(?=\s*+[\]}}])", re.DOTALL)
_FENCE = re.compile(r"(?P<fence>`{3,}+|~{3,}+)[\w+-]{0,20}\s*+(?P<inside>.*)(?P=fence)", re.DOTALL)


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


def unfenced(text: str) -> str:
    """What stands inside the one Markdown fence around a (stripped) text; the text itself where there is none."""
    match = _FENCE.fullmatch(text)
    return match["inside"].strip() if match and match["fence"] not in match["inside"] else text


def lenient_json(text: str) -> Any:
    """Parse the JSON of an answer, forgiving what has one reading alone. Raises Refused, and nothing else, on any other text."""
    text = unfenced(text)
    if len(text) > MAX_JSON_CHARS:
        raise Refused(RefusalReason.TOO_LONG, text)
    return strict_json(_LAST_COMMA.sub(lambda match: match["string"] or "", text), line_breaks=True)


def strict_json(text: str, line_breaks: bool = False) -> Any:
    """Parse JSON without Python's extensions, but for `line_breaks` and tabs in strings. Raises Refused, and nothing else."""
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
        return json.loads(text, object_pairs_hook=unique_keys, parse_constant=_no_constant, strict=not line_breaks)
    except ValueError:  # bad syntax, or an integer of more digits than Python converts
        raise Refused(RefusalReason.BAD_JSON, text) from None


def _no_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _depth(text: str) -> int:
    """Deepest nesting of brackets outside strings, found before the recursive parser sees the text."""
    outside = _JSON_STRING.sub("", text)
    return max(accumulate(1 if char in "[{" else -1 for char in outside if char in "[{]}"), default=0)
