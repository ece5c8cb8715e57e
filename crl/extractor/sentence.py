"""The form `sentence`: a reply says one thing, on its first line. For models that write no machine format.

A distillation adds the line's first sentence, and a merge keeps the line: several entries may need several sentences. What stands
around it is left out: a label ("Advice:"), the mark of a list, quotes, and before a sentence one or two words ("Sure!").
"""

import re
from typing import Literal

from crl.models.chat import ChatFormat
from crl.replies.parsing import answer_in
from crl.replies.thoughts import whole_reply
from crl.types import Completion

# How an extractor's reply stands. tagged: the machine format in <answer> tags; bare: the tags may be missing; sentence: see above.
Form = Literal["tagged", "bare", "sentence"]

_MIN_WORDS = 3
_END = re.compile(r"[.!?][\"')\]*]*(?=\s|\Z)|[。！？]")
_BEFORE = re.compile(
    r"(?:(?:[-*•#>]+|\d{1,2}[.)])\s+|(?:new |old |my )?(?:advice|answer|sentence|note)\s*\d{0,2}\s*:\s*)+", re.I
)
_AROUND = " \t\"'`*“”"


def stop_strings(form: Form) -> tuple[str, ...]:
    """What ends a reply besides the end of the turn. A thinking model may quote any tag, so no tag does."""
    return ("\n",) if form == "sentence" else ()


def reply_text(completion: Completion, chat: ChatFormat, form: Form) -> str:
    """A completion as the form's readers need it."""
    return finished(whole_reply(completion, chat), form, cut=completion.stop_reason == "length")


def finished(text: str, form: Form, *, cut: bool) -> str:
    """A reply; where it was cut, without the sentence that it had begun."""
    if form != "sentence" or not cut:
        return text
    return text[: max((end.end() for end in _END.finditer(text)), default=0)]


def line_in(said: str) -> str | None:
    """The first line of a reply that says something; None where none does, or where it only announces. Linear in the text."""
    answer = (answer_in(said, tagged=False) or "").replace("**", "")
    line = next(filter(None, map(_bare, answer.splitlines())), ":")
    return None if line.endswith(":") else line


def sentence_in(line: str) -> str:
    """The first sentence of a line; all of it where no part of it is a sentence."""
    start = 0
    for end in _END.finditer(line):
        if line[end.end() :].lstrip()[:1].islower():  # "e.g. this" goes on
            continue
        sentence = _bare(line[start : end.end()])
        if len(sentence.split()) >= _MIN_WORDS:
            return sentence
        start = end.end()
    rest = _bare(line[start:])
    return rest if len(rest.split()) >= _MIN_WORDS else line


def _bare(text: str) -> str:
    text = text.strip(_AROUND)
    return _BEFORE.sub("", text, count=1).strip(_AROUND) if _BEFORE.match(text) else text
