import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.replies.parsing import MAX_JSON_CHARS, MAX_JSON_DEPTH, last_block, lenient_json, strict_json
from crl.replies.refusals import Refused

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=4), children, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("<answer>north</answer>", "north"),
        ("<ANSWER> north\n</Answer> bye", "north"),
        ("<answer>a</answer> <answer>b</answer>", "b"),
        ("<answer>a</answer> then <answer>cut off", "a"),
        ("quoting <answer> first, then <answer>b</answer>", "b"),
        ("</answer>stray <answer>b</answer>", "b"),
        ("<answer>b</answer> stray </answer>", "b"),
        ("<answer></answer>", ""),
        ("<an\u017fwer>b</an\u017fwer>", None),
        ("north", None),
    ],
)
def test_the_last_complete_block_is_read_whatever_surrounds_it(text, block):
    assert last_block(text) == block


@given(st.text(), st.text())
def test_a_block_without_tags_inside_comes_back_stripped(before, content):
    content = content.replace("<", "")
    assert last_block(f"{before}<answer>{content}</answer>") == content.strip()


@given(_JSON)
def test_what_strict_json_accepts_equals_what_json_reads(value):
    text = json.dumps(value)
    if _nesting(value) <= MAX_JSON_DEPTH:
        assert strict_json(text) == value
    else:
        with pytest.raises(Refused, match="too_deep"):
            strict_json(text)


def _nesting(value):
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(_nesting, children), default=0)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[NaN]", "bad_json"),
        ("[Infinity]", "bad_json"),
        ("[-Infinity]", "bad_json"),
        ('{"a": 1, "a": 1}', "duplicate_key"),
        ('{"a": {"b": 1, "b": 2}}', "duplicate_key"),
        ("[" * 100_000, "too_long"),
        ("[" * 10_000, "too_deep"),
        ("[" * (MAX_JSON_DEPTH + 1) + "]" * (MAX_JSON_DEPTH + 1), "too_deep"),
        ("[1,]", "bad_json"),
        ("```json\n[]\n```", "bad_json"),
        ('["a\nb"]', "bad_json"),
        ("9" * 5000, "bad_json"),
        ("", "bad_json"),
        ("[] []", "bad_json"),
        (" " * (MAX_JSON_CHARS + 1), "too_long"),
    ],
)
def test_everything_that_is_no_plain_json_is_refused_by_name(text, fault):
    with pytest.raises(Refused) as caught:
        strict_json(text)
    assert caught.value.refusal.reason == fault


def test_brackets_inside_strings_do_not_count_as_depth():
    assert strict_json('["[[[[[[ \\" [[[["]') == ['[[[[[[ " [[[[']


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("```json\n[1]\n```", [1]),
        ("```\n[1]```", [1]),
        ("~~~JSON5\n[1]\n~~~", [1]),
        ("````\n[1]\n````", [1]),
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ('```json\n{"a": "b",\n}\n```', {"a": "b"}),
        ('{"a": ",]", "b": "x,}",}', {"a": ",]", "b": "x,}"}),
        ('["a\nb\tc"]', ["a\nb\tc"]),
        ('["```\\n[1]\\n```"]', ["```\n[1]\n```"]),
    ],
)
def test_what_has_one_reading_alone_is_read(text, value):
    assert lenient_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "Here it is:\n```json\n[1]\n```",
        "```json\n[1]\n```\n```json\n[2]\n```",
        "```json\n[1]",
        "````\n[1]\n```",
        "[1,,]",
        "{'a': 1}",
        "[1] // one",
        "[NaN,]",
        '{"a": 1, "a": 2,}',
        '["a',
        "`" * 100_000,
        "," * 60_000,
        "[" + ", " * 30_000 + "]",
        "```" + " " * 65_000,
        "[" * 100_000,
    ],
)
def test_what_would_have_to_be_guessed_is_refused(text):
    with pytest.raises(Refused):
        lenient_json(text)


@given(_JSON.filter(lambda value: _nesting(value) <= MAX_JSON_DEPTH), st.sampled_from([None, 1]))
def test_leniency_never_changes_what_is_read(value, indent):
    text = json.dumps(value, indent=indent)
    commas = json.dumps(value, indent=indent, separators=(",", ":"))
    for spelt in (text, commas, f"```json\n{text}\n```", _with_last_commas(value)):
        assert lenient_json(spelt.strip()) == value


def _with_last_commas(value):
    if isinstance(value, dict) and value:
        return "{" + "".join(f"{json.dumps(key)}: {_with_last_commas(of)}, " for key, of in value.items()) + "}"
    if isinstance(value, list) and value:
        return "[" + "".join(f"{_with_last_commas(of)} ,\n" for of in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\\n", "\n") if isinstance(value, str) else json.dumps(value)
