"""The one parser of what an actor wrote: an action that the environment takes, a tool call, or neither.

Both readings are pure, never raise, and look at a bounded part of the text.
"""

import re
from collections.abc import Sequence
from itertools import chain

from crl.replies.parsing import MAX_REPLY_CHARS, answer_in, last_block
from crl.replies.thoughts import after_thoughts

ASK_TAG = "search_and_ask"
ASK_OPEN, ASK_CLOSE = f"<{ASK_TAG}>", f"</{ASK_TAG}>"
MAX_QUERY_CHARS = 1000  # about 250 tokens: a situation and a question
MAX_ACTION_CHARS = 200  # of a name, and of a form's blank

_BLANKS = re.compile(r"[\s_\-]+")
_WRAPPING = " \t\r\n\"'`*.,:;!()[]{}"


def parse_action(text: str, known: Sequence[str], forms: Sequence[str] = ()) -> str | None:
    """What the reply says after its thoughts, its last <answer> block where it has one, as the environment spells one of its
    names, or as one of its free forms.

    Case, blanks, hyphens and underscores do not matter for names, nor do quotes and full stops around them. The
    form "{}" takes any text as it is (the environment reads it, within the parser's bound). None: no action.
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
    if not wanted:
        return None
    spelt = (candidate for candidate in known if _normal(candidate) == wanted)
    filled = (_fill(form, name) for form in forms)
    return next(filter(None, chain(spelt, filled)), None)


def unread(text: str, forms: Sequence[str] = ()) -> str:
    """What an environment is given of a reply in which no action was read, for its feedback; no longer than a name.

    Nothing, where it takes `forms`: it reads free text itself, and might do what was refused here.
    """
    return "" if forms else (after_thoughts(text) or "")[:MAX_ACTION_CHARS]


def _fill(form: str, text: str) -> str | None:
    """`search[{}]` with what stands between its brackets in the text; None when the text has another form."""
    head, _, tail = form.partition("{}")
    flat = " ".join(text.split()).strip("\"'`*. ")
    low = flat.casefold()
    if not (low.startswith(head.casefold()) and low.endswith(tail.casefold())):
        return None
    blank = flat[len(head) : len(flat) - len(tail)].strip()
    return form.replace("{}", blank) if blank else None


def parse_ask(text: str) -> str | None:
    """The query of a search-and-ask call, cut to its bound; None without one, or when an <answer> follows it."""
    said = after_thoughts(text) or ""
    lower = said[-MAX_REPLY_CHARS:].lower()
    if lower.rfind(ASK_CLOSE) <= lower.rfind("</answer>"):
        return None
    query = last_block(said, ASK_TAG) or ""
    return " ".join(query[:MAX_QUERY_CHARS].split()) or None


def _normal(name: str) -> str:
    return _BLANKS.sub("_", name.strip(_WRAPPING).casefold()).strip("_")
