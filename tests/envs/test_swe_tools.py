"""The parser of tool calls: whatever a model writes, it gets a call that the tools can run, or a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.envs.swe.tools import EDITOR_COMMANDS, MAX_REPLY_CHARS, Call, Malformed, parse, render

TAGS = (
    "<function=",
    "<function=bash>",
    "</function>",
    "<parameter=command>",
    "</parameter>",
    "<parameter=",
    ">",
    "submit",
    "\n",
)
NOISE = st.lists(st.one_of(st.sampled_from(TAGS), st.text(max_size=12)), max_size=20).map("".join)
PLAIN = st.text(max_size=200).filter(lambda text: not any(tag in text for tag in ("<function=", "</", "\0")))


def test_a_call_after_some_thoughts():
    reply = "The bug is in x.py.\n<function=bash>\n<parameter=command>\nls -la\n</parameter>\n</function>\n"
    assert parse(reply) == Call("bash", {"command": "ls -la"})


def test_layout_newlines_are_no_content_but_all_others_are():
    call = parse(render("str_replace_editor", command="str_replace", path="x.py", old_str="\n  a\n\n", new_str=""))
    assert call.arguments["old_str"] == "\n  a\n\n"
    assert call.arguments["new_str"] == ""


@pytest.mark.parametrize(
    "around",
    [
        "{}\n\nThis lists the files.",
        "<tool_call>\n{}\n</tool_call>",
        "```xml\n{}\n```",
        "{}</answer>",
        "{}\nbash(command): runs in",
    ],
)
def test_a_single_call_is_read_whatever_stands_around_it(around):
    assert parse(around.replace("{}", render("bash", command="ls -la"))) == Call("bash", {"command": "ls -la"})


@pytest.mark.parametrize(
    "reply", [" submit\n", "Submit", "submit()", "`submit()`", "**Submit.**", "Done. <function=submit></function>"]
)
def test_submit_in_every_form(reply):
    assert parse(reply) == Call("submit")


@pytest.mark.parametrize("reply", ["submit it", "I submit.", "submit(x)", "submit submit", "do not submit", "resubmit"])
def test_a_sentence_about_submitting_is_none(reply):
    assert isinstance(parse(reply), Malformed)


@pytest.mark.parametrize(
    ("reply", "hint"),
    [
        ("", "exactly one call"),
        ("ls -la", "exactly one call"),
        ("<function=bash>ls</function>", "only <parameter=NAME>"),
        ("<function=bash><parameter=command>ls</function>", "not closed"),
        ("<function=bash><parameter=command></parameter></function>", "needs the parameter command"),
        (render("bash", command="ls") * 2, "exactly one call"),
        ("</function>" + "<function=bash><parameter=command>ls</parameter>", "does not begin"),
        ("<function=bash><parameter=command>a</parameter><parameter=command>b</parameter></function>", "twice"),
        (render("bash", command="ls", path="/"), "does not take the parameter path"),
        (render("python", code="1"), "no tool 'python'"),
        (render("submit", answer="x"), "does not take"),
        (render("str_replace_editor", command="delete", path="x"), "use one of view"),
        (
            render("str_replace_editor", command="str_replace", path="x", old_str="", new_str="y"),
            "needs the parameter old_str",
        ),
        (
            render("str_replace_editor", command="insert", path="x", insert_line="two", new_str="y"),
            "insert_line must be",
        ),
        (render("str_replace_editor", command="view", path="x", view_range="1-2"), "view_range must be"),
        (render("bash", command="x" * MAX_REPLY_CHARS), "characters"),
        (render("bash", command="a\0b"), "NUL"),
    ],
)
def test_a_malformed_call_is_refused_with_a_reason(reply, hint):
    result = parse(reply)
    assert isinstance(result, Malformed)
    assert hint in result.reason


@given(NOISE)
def test_any_text_gives_a_complete_call_or_a_reason(reply):
    result = parse(reply)
    if isinstance(result, Malformed):
        assert result.reason
        return
    assert result.tool in ("bash", "str_replace_editor", "submit")
    assert reply.count("<function=") <= 1
    if result.tool == "bash":
        assert set(result.arguments) == {"command"}
        assert result.arguments["command"]
    elif result.tool == "str_replace_editor":
        required, optional = EDITOR_COMMANDS[result.arguments["command"]]
        assert {"command", *required} <= set(result.arguments) <= {"command", *required, *optional}


@given(PLAIN.filter(bool), PLAIN)
def test_what_is_rendered_is_read_back(command, before):
    assert parse(f"{before}{render('bash', command=command)}") == Call("bash", {"command": command})


@given(NOISE, NOISE)
def test_two_calls_are_never_one(left, right):
    both = f"{left}<function=bash><parameter=command>a</parameter></function>{right}<function=submit></function>"
    assert isinstance(parse(both), Malformed)
