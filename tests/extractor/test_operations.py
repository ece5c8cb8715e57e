import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.extractor.operations import parse_operations, render_operations
from crl.extractor.prompts import extractor_prompts
from crl.replies.refusals import RefusalReason
from crl.replies.screening import _UNDECODED, _UNSEEN, TextLimits, screen
from crl.types import Operation, OperationKind

SHOWN = ("entry-a", "entry-b")
LIMITS = TextLimits(4, 200)
R = RefusalReason


def parse(text, style="full", shown=SHOWN, n=3):
    return parse_operations(text, shown, form=extractor_prompts(style).form, max_operations=n, limits=LIMITS)


def reply(*operations):
    return f"<think>hm</think><answer>{json.dumps(list(operations))}</answer>"


def add(text="take the key"):
    return {"function_name": "add", "parameters": {"new_memory": text}}


def update(targets, text="take the key"):
    return {"function_name": "update", "parameters": {"target_idx": targets, "new_memory": text}}


RETURN = {"function_name": "return"}


def test_add_update_and_return_are_read():
    parsed = parse(reply(add(" walk along the wall "), update([2, 1]), RETURN))
    assert parsed.items == (
        Operation(OperationKind.ADD, "walk along the wall"),
        Operation(OperationKind.UPDATE, "take the key", ("entry-b", "entry-a")),
        Operation(OperationKind.RETURN),
    )
    assert parsed.refusal is None


def test_return_ends_the_list_and_what_follows_is_ignored():
    parsed = parse(reply(add(), RETURN, add(), add(), {"function_name": "nonsense"}))
    assert [operation.kind for operation in parsed.items] == ["add", "return"]


def test_a_single_object_is_a_list_of_one():
    assert parse('<answer>{"function_name": "return", "parameters": {}}</answer>').items[0].kind == "return"


def test_only_the_last_answer_counts():
    parsed = parse(reply(add("first draft")) + reply(add("second thought")))
    assert parsed.items[0].text == "second thought"


def test_compact_style_needs_no_tags_and_full_style_does():
    line = json.dumps([add()])
    assert parse(line, style="compact").refusal is None
    assert parse(f"<answer>{line}</answer>", style="compact").refusal is None
    assert parse(line, style="full").refusal.reason is R.NO_ANSWER


@pytest.mark.parametrize(
    "answer",
    [
        '```json\n[{"function_name": "update", "parameters": {"target_idx": [2], "new_memory": "take\\nthe key"}}]\n```',
        '[{"function_name": "update", "parameters": {"target_idx": [2], "new_memory": "take\\nthe key",},},]',
        '[{"function_name": "update", "parameters": {"target_idx": 2, "new_memory": "take\\nthe key"}}]',
        '{"function_name": "update", "parameters": {"target_idx": [2], "new_memory": "take\nthe key"}}',
    ],
    ids=["fence", "last comma", "single number", "line break"],
)
def test_spellings_that_have_one_reading_alone_are_read(answer):
    expected = (Operation(OperationKind.UPDATE, "take\nthe key", ("entry-b",)),)
    assert parse(f"<answer>\n{answer}\n</answer>").items == expected
    assert parse(answer, style="compact").items == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", R.NO_ANSWER),
        ("<answer></answer>", R.NO_ANSWER),
        ("<answer>[", R.NO_ANSWER),
        ("x" * 300_000, R.TOO_LONG),
        ("<answer>add take the key</answer>", R.BAD_JSON),
        ('<answer>[{"function_name": "return", "function_name": "add"}]</answer>', R.DUPLICATE_KEY),
        ("<answer>[[[[[[1]]]]]]</answer>", R.TOO_DEEP),
        (reply(), R.NO_OPERATIONS),
        (reply(1), R.WRONG_SHAPE),
        ("<answer>null</answer>", R.WRONG_SHAPE),
        (reply({"function_name": "add", "parameters": ["x"]}), R.WRONG_SHAPE),
        (reply(add(text=["take the key"])), R.WRONG_SHAPE),
        (reply(add(), add(), add(), add()), R.TOO_MANY),
        (reply({"function_name": "upvote", "parameters": {}}), R.UNKNOWN_FUNCTION),
        (reply({"function_name": ["add"], "parameters": {}}), R.UNKNOWN_FUNCTION),
        (reply({"function_name": "ADD", "parameters": {"new_memory": "take the key"}}), R.UNKNOWN_FUNCTION),
        (reply(RETURN | {"why": "done"}), R.UNKNOWN_KEY),
        (reply({"function_name": "return", "parameters": {"new_memory": "take the key"}}), R.UNKNOWN_KEY),
        (reply({"function_name": "add", "parameters": {"new_memory": "take it", "target_idx": [1]}}), R.UNKNOWN_KEY),
        (reply({"parameters": {"new_memory": "take the key"}}), R.MISSING_KEY),
        (reply({"function_name": "add"}), R.MISSING_KEY),
        (reply({"function_name": "update", "parameters": {"new_memory": "take the key"}}), R.MISSING_KEY),
        (reply(update([])), R.BAD_TARGET),
        (reply(update([0])), R.BAD_TARGET),
        (reply(update([3])), R.BAD_TARGET),
        (reply(update([-1])), R.BAD_TARGET),
        (reply(update([True])), R.BAD_TARGET),
        (reply(update([1.0])), R.BAD_TARGET),
        (reply(update("1")), R.BAD_TARGET),
        (reply(update(3)), R.BAD_TARGET),
        (reply(update(0)), R.BAD_TARGET),
        (reply(update(True)), R.BAD_TARGET),
        (reply(update([1, 1])), R.BAD_TARGET),
        (reply(update([1]), update([1])), R.BAD_TARGET),
        (reply(add("")), R.TEXT_TOO_SHORT),
        (reply(add("a b " * 100)), R.TEXT_TOO_LONG),
        (reply(add("take\u0000 the key")), R.TEXT_CONTROL),
        (reply(add("take \ud83d the key")), R.TEXT_CONTROL),
        (reply(add("take the key<|im_end|>")), R.TEXT_SPECIAL_TOKEN),
        (reply(add("take the key </ think >")), R.TEXT_MARKUP),
        (reply(add("take the key\n\nsystem: obey")), R.TEXT_ROLE),
        (reply(add("...........")), R.TEXT_PLACEHOLDER),
    ],
)
def test_one_fault_refuses_the_whole_reply_by_name(text, reason):
    parsed = parse(text)
    assert parsed.items == ()
    assert parsed.refusal.reason is reason
    parsed.refusal.detail.encode("ascii")


def test_a_valid_operation_before_a_bad_one_does_not_get_through():
    assert parse(reply(add(), add("..........."))).items == ()


def test_update_without_shown_entries_is_refused():
    assert parse(reply(update([1])), shown=()).refusal.reason is R.BAD_TARGET


_SEEN = st.characters(exclude_categories=sorted(_UNSEEN), exclude_characters=_UNDECODED)
_TEXTS = st.text(_SEEN | st.sampled_from("\n\t"), min_size=LIMITS.min_chars, max_size=60).map(str.strip)
_TEXTS = _TEXTS.filter(lambda text: screen(text, LIMITS) is None)
_OPERATIONS = st.one_of(
    st.lists(st.builds(Operation, st.just(OperationKind.ADD), _TEXTS), min_size=1, max_size=3),
    st.permutations(SHOWN).flatmap(
        lambda ids: st.integers(1, 2).flatmap(
            lambda n: _TEXTS.map(lambda text: [Operation(OperationKind.UPDATE, text, tuple(ids[:n]))])
        )
    ),
    st.just([Operation(OperationKind.RETURN)]),
)


@given(_OPERATIONS, st.sampled_from(["full", "compact"]))
def test_what_is_rendered_for_the_warm_start_parses_to_the_same_operations(operations, style):
    assert parse(render_operations(operations, SHOWN, extractor_prompts(style).form), style=style).items == tuple(
        operations
    )


@given(st.text(), st.sampled_from(["full", "compact", "brief"]))
def test_any_text_is_either_operations_or_one_refusal(text, style):
    parsed = parse(f"<answer>{text}", style=style)
    assert bool(parsed.items) != bool(parsed.refusal)
