"""The one parser of what an actor wrote: an action that the environment takes, a tool call, or neither.

Both readings are pure, never raise, and look at a bounded part of the text.
"""

import re
from collections.abc import Sequence
from itertools import accumulate, chain

from crl.replies.parsing import MAX_REPLY_CHARS, answer_in, last_block
from crl.replies.thoughts import after_thoughts

ASK_TAG = "search_and_ask"
ASK_OPEN, ASK_CLOSE = f"<{ASK_TAG}>", f"</{ASK_TAG}>"
MAX_QUERY_CHARS = 1000  # about 250 tokens: a situation and a question
MAX_ACTION_CHARS = 200  # of a name, and of a form's blank

BLANK = "..."  # what stands in prompts for the text that fills a form: copied, it fills nothing

_BLANKS = re.compile(r"[\s_\-]+")
_BRACKETS = frozenset({"[]", "()", "{}", "<>"})
_WRAPPING = " \t\r\n\"'`*.,:;!()[]{}"


def parse_action(text: str, known: Sequence[str], forms: Sequence[str] = ()) -> str | None:
    """What the reply says after its thoughts, its last <answer> block where it has one, as the environment spells one of its
    names, or as one of its free forms.

    Case, blanks, hyphens and underscores do not matter for names, nor do quotes and full stops around them. The
    form "{}" takes any text as it is (the environment reads it, within the parser's bound). None: no action, or more than one.
    """
    said = after_thoughts(text)
    if said is None:
        return None
    name = answer_in(said, tagged=False)
    if "{}" in forms and name not in known:
        return name[-MAX_REPLY_CHARS:].strip() or None
    if len(name) > MAX_ACTION_CHARS:  # prose without an <answer> block
        return None
    if name in known:
        return name
    wanted = _normal(name)
    spelt = (candidate for candidate in known if wanted and _normal(candidate) == wanted)
    filled = (_fill(form, name) for form in forms)
    return next(filter(None, chain(spelt, filled)), None)


def unread(text: str, forms: Sequence[str] = ()) -> str:
    """What an environment is given of a reply in which no action was read, for its feedback; no longer than a name.

    Nothing, where it takes `forms`: it reads free text itself, and might do what was refused here.
    """
    return "" if forms else (after_thoughts(text) or "")[:MAX_ACTION_CHARS]


def _fill(form: str, text: str) -> str | None:
    """`search[{}]` with what stands between its brackets in the text; None when the text has another form.

    Nor may the form end before the text does: `search[a] click[b]` is two calls, and no search for "a] click[b". A form without
    an ending ends with its line.
    """
    head, _, tail = form.partition("{}")
    if not tail and len(text.strip().splitlines()) > 1:
        return None
    flat = " ".join(text.split())
    for call in (flat.strip("\"'`*. "), flat):
        low = call.casefold()
        if low.startswith(head.casefold()) and low.endswith(tail.casefold()):
            blank = call[len(head) : len(call) - len(tail)].strip()
            return (
                form.replace("{}", blank) if blank not in ("", BLANK) and not _ends_within(blank, head, tail) else None
            )
    return None


def _ends_within(blank: str, head: str, tail: str) -> bool:
    """Whether a form from `head` to `tail` ends, or begins again, within what should fill it; brackets may be nested."""
    brackets = head[-1:] + tail[:1]
    if brackets not in _BRACKETS:
        return bool(tail) and tail in blank
    depths = list(accumulate((char == brackets[0]) - (char == brackets[1]) for char in blank))
    return min(depths) < 0 or depths[-1] != 0


def parse_ask(text: str) -> str | None:
    """The query of a search-and-ask call, cut to its bound; None without one, or when an <answer> follows it."""
    said = after_thoughts(text) or ""
    lower = said[-MAX_REPLY_CHARS:].lower()
    if lower.rfind(ASK_CLOSE) <= lower.rfind("</answer>"):
        return None
    query = last_block(said, ASK_TAG) or ""
    return " ".join(query[:MAX_QUERY_CHARS].split()) or None


def _normal(name: str) -> str:
    """What spellings of one name have in common; "" for none, and for names below each other, which are not one."""
    name = name.strip(_WRAPPING)
    return "" if len(name.splitlines()) > 1 else _BLANKS.sub("_", name.casefold()).strip("_")
