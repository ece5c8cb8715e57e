"""The strict parser of a distillation's reply: model text -> at most N bank operations, or one refusal.

The machine format (method 3.3) is a JSON list in the last <answer> block:

    [{"function_name": "add", "parameters": {"new_memory": "..."}},
     {"function_name": "update", "parameters": {"target_idx": [1], "new_memory": "..."}},
     {"function_name": "return"}]

A single object counts as a list of one, and so does a single number in `target_idx`, which counts the shown entries from
1. `return` ends the list. Any fault refuses the whole reply, surplus operations too: a bank that is fed on half-read replies
rewards the extractor for them. The form `sentence` adds the first sentence of its first line (crl/extractor/sentence.py).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from crl.extractor.sentence import Form, line_in, sentence_in
from crl.replies.parsing import MAX_REPLY_CHARS, answer_in, lenient_json
from crl.replies.refusals import Refusal, RefusalReason, Refused
from crl.replies.screening import TextLimits, screen
from crl.replies.thoughts import after_thoughts
from crl.types import Operation, OperationKind

T = TypeVar("T")
Screen = Callable[[str], RefusalReason | None]
_KEYS: dict[str, frozenset[str]] = {
    OperationKind.ADD: frozenset({"new_memory"}),
    OperationKind.UPDATE: frozenset({"new_memory", "target_idx"}),
    OperationKind.RETURN: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """What a reply says, which may be nothing, or the reason why it counts for nothing."""

    items: tuple[T, ...] = ()
    refusal: Refusal | None = None


def parsed(text: str, read: Callable[[str], Iterable[T]], *, form: Form) -> Parsed[T]:
    """Never raises, whatever the text; `read` raises Refused."""
    try:
        if len(text) > MAX_REPLY_CHARS:
            raise Refused(RefusalReason.TOO_LONG, f"{len(text)} characters")
        said = after_thoughts(text)
        answer = None if said is None else _answer(said, form)
        if not answer:
            raise Refused(RefusalReason.NO_ANSWER)
        return Parsed(tuple(read(answer)))
    except Refused as refused:
        return Parsed(refusal=refused.refusal)


def parse_operations(
    text: str, shown_ids: Sequence[str], *, form: Form, max_operations: int, limits: TextLimits, told: str = ""
) -> Parsed[Operation]:
    """As `parsed`. A RETURN stands last, if at all. `told`: the prompt's instructions, which are no experience."""
    screened = partial(screen, limits=limits, told=told)
    if form == "sentence":
        return parsed(
            text, lambda answer: [Operation(OperationKind.ADD, _text(sentence_in(answer), screened))], form=form
        )
    return parsed(text, lambda answer: _operations(answer, shown_ids, max_operations, screened), form=form)


def render_operations(operations: Sequence[Operation], shown_ids: Sequence[str], form: Form) -> str:
    """The canonical reply that parses to these operations: what a warm start teaches. A sentence is one ADD, and no other."""
    if form == "sentence":
        (operation,) = operations
        return operation.text
    values = [_value(operation, shown_ids) for operation in operations]
    line = json.dumps(values, ensure_ascii=False)
    return f"<answer>{line}</answer>" if form == "tagged" else line


def _answer(said: str, form: Form) -> str | None:
    return line_in(said) if form == "sentence" else answer_in(said, tagged=form == "tagged")


def _value(operation: Operation, shown_ids: Sequence[str]) -> dict[str, object]:
    if operation.kind is OperationKind.RETURN:
        return {"function_name": "return"}
    targets = [shown_ids.index(target) + 1 for target in operation.target_ids]
    parameters = ({"target_idx": targets} if targets else {}) | {"new_memory": operation.text}
    return {"function_name": operation.kind.value, "parameters": parameters}


def _operations(answer: str, shown_ids: Sequence[str], max_operations: int, screened: Screen) -> Iterator[Operation]:
    value = lenient_json(answer)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise Refused(RefusalReason.NO_OPERATIONS)
    used: set[str] = set()
    for count, value in enumerate(values):
        operation = _operation(value, shown_ids, screened)
        if operation.kind is not OperationKind.RETURN and count >= max_operations:
            raise Refused(RefusalReason.TOO_MANY, f"{len(values)} operations")
        if not used.isdisjoint(operation.target_ids):
            raise Refused(RefusalReason.BAD_TARGET, "one entry is updated twice")
        used.update(operation.target_ids)
        yield operation
        if operation.kind is OperationKind.RETURN:
            return


def _operation(value: object, shown_ids: Sequence[str], screened: Screen) -> Operation:
    if not isinstance(value, dict):
        raise Refused(RefusalReason.WRONG_SHAPE, type(value).__name__)
    _check_keys(value, required=frozenset({"function_name"}), optional=frozenset({"parameters"}))
    name, parameters = value["function_name"], value.get("parameters", {})
    if not isinstance(name, str) or name not in _KEYS:
        raise Refused(RefusalReason.UNKNOWN_FUNCTION, repr(name))
    if not isinstance(parameters, dict):
        raise Refused(RefusalReason.WRONG_SHAPE, "parameters")
    kind = OperationKind(name)
    _check_keys(parameters, required=_KEYS[kind])
    targets = _targets(parameters["target_idx"], shown_ids) if kind is OperationKind.UPDATE else ()
    text = "" if kind is OperationKind.RETURN else _text(parameters["new_memory"], screened)
    return Operation(kind, text, targets)


def _check_keys(value: dict, required: frozenset[str], optional: frozenset[str] = frozenset()) -> None:
    if missing := required - value.keys():
        raise Refused(RefusalReason.MISSING_KEY, ", ".join(sorted(missing)))
    if unknown := value.keys() - required - optional:
        raise Refused(RefusalReason.UNKNOWN_KEY, ", ".join(sorted(unknown)))


def _text(value: object, screened: Screen) -> str:
    if not isinstance(value, str):
        raise Refused(RefusalReason.WRONG_SHAPE, "new_memory")
    text = value.strip()
    if reason := screened(text):
        raise Refused(reason, text)
    return text


def _targets(value: object, shown_ids: Sequence[str]) -> tuple[str, ...]:
    value = [value] if type(value) is int else value
    # `type(...) is int`: JSON's true is a Python int.
    if not isinstance(value, list) or not value or not all(type(index) is int for index in value):
        raise Refused(RefusalReason.BAD_TARGET, "target_idx is no list of numbers")
    if len(set(value)) != len(value) or not all(1 <= index <= len(shown_ids) for index in value):
        raise Refused(RefusalReason.BAD_TARGET, f"{value} of {len(shown_ids)} shown")
    return tuple(shown_ids[index - 1] for index in value)
