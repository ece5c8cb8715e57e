"""The parser of a merge reply: the texts that replace a chunk, or a no-op, or one refusal (method 3.4).

    <answer><<<KNOWLEDGE_ITEM>>> ... <<<END_ITEM>>> <<<KNOWLEDGE_ITEM>>> ... <<<END_ITEM>>></answer>

or the word return, or the JSON operation of that name. One bad item refuses the whole reply: the chunk's entries would
be deleted for it, so a partial merge would lose knowledge. In the form `sentence` the first line is the one item.
"""

from functools import partial

from crl.extractor.operations import Parsed, Screen, parsed
from crl.extractor.sentence import Form
from crl.replies.parsing import lenient_json, unfenced
from crl.replies.refusals import RefusalReason, Refused
from crl.replies.screening import TextLimits, screen

ITEM_START, ITEM_END = "<<<KNOWLEDGE_ITEM>>>", "<<<END_ITEM>>>"
_RETURN_OBJECTS = ({"function_name": "return"}, {"function_name": "return", "parameters": {}})


def parse_merge(text: str, *, form: Form, max_items: int, limits: TextLimits, told: str = "") -> Parsed[str]:
    """As `parsed`; no items: a no-op, or a refusal. `told`: the prompt's instructions, which are no experience."""
    screened = partial(screen, limits=limits, told=told)
    if form == "sentence":
        return parsed(text, lambda answer: (_item(answer, screened),), form=form)
    return parsed(text, lambda answer: () if _is_return(answer) else _items(answer, max_items, screened), form=form)


def _is_return(answer: str) -> bool:
    if answer.casefold().strip(" .\"'`") == "return":
        return True
    try:
        value = lenient_json(answer)
    except Refused:
        return False
    return (value[0] if isinstance(value, list) and len(value) == 1 else value) in _RETURN_OBJECTS


def _items(answer: str, max_items: int, screened: Screen) -> tuple[str, ...]:
    before, *blocks = unfenced(answer).split(ITEM_START)
    if before.strip() or not blocks:
        raise Refused(RefusalReason.BAD_BLOCKS, before)
    items: dict[str, None] = {}  # ordered, each text once
    for block in blocks:
        item, end, after = block.partition(ITEM_END)
        if not end or after.strip():
            raise Refused(RefusalReason.BAD_BLOCKS, after)
        items[_item(item.strip(), screened)] = None
    if len(items) > max_items:
        raise Refused(RefusalReason.TOO_MANY, f"{len(items)} items for {max_items}")
    return tuple(items)


def _item(text: str, screened: Screen) -> str:
    if reason := screened(text):
        raise Refused(reason, text)
    return text
