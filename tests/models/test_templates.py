"""The check of published templates, by made-up ones in their shapes."""

import pytest

from benchmarks.templates import cells, check, markdown, published
from crl.errors import DataError

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
OPENS_A_THOUGHT = CHATML.replace("assistant\n", "assistant\n<think>\n")
NEEDS_TOOLS = "{% for tool in tools %}{{ tool }}{% endfor %}" + CHATML
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
)


def test_a_template_is_shown_with_what_ends_a_turn_and_what_surrounds_a_tool():
    row = check("chatml", CHATML)
    assert cells(row) == ["chatml", "yes", "<|im_end|>", "yes", "nothing", "<|im_start|> … <|im_end|>", "-", "ok"]
    assert markdown([row]).splitlines()[2].count(" | ") == 7
    assert check("gemma", NO_SYSTEM).system_role is False


def test_what_a_template_rewrites_when_it_has_passed_is_told():
    assert check("thinks", OPENS_A_THOUGHT).rewrites == "'<think>\\n' in steps, '' in the whole"


@pytest.mark.parametrize(("tag", "fault"), [("think", ""), ("ponder", "differs: thoughts")])
def test_marks_of_thoughts_that_no_reader_knows_are_a_fault(tag, fault):
    thought = f"(('<{tag}>' + message['reasoning_content'] + '</{tag}>') if 'reasoning_content' in message else '')"
    row = check("thinks", CHATML.replace("message['content']", f"{thought} + message['content']"))
    assert (row.thoughts, row.fault) == (not fault, fault)


def test_a_template_that_takes_tools_for_given_is_refused_by_name():
    row = check("tools", NEEDS_TOOLS)
    assert "cannot render the roles" in row.refusal
    assert row.fault == ""


def test_another_archive_than_the_pinned_one_is_refused():
    with pytest.raises(DataError, match=r"SHA-256 is .*Remedy: fetch https://"):
        published(b"something else")
