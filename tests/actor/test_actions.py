import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.actor.actions import MAX_QUERY_CHARS, parse_action, parse_ask

KNOWN = ("north", "northeast", "pick_up", "apply", "go to cabinet 1")


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("<think>The stairs are north.</think>\n<answer>northeast</answer>", "northeast"),
        ("<answer>north</answer> or rather <answer>apply</answer>", "apply"),
        ("<ANSWER>\n  Pick Up\n</ANSWER>", "pick_up"),
        ("<answer>pick-up.</answer>", "pick_up"),
        ("<answer>'pick__up'</answer>", "pick_up"),
        ("<answer>Go to  Cabinet 1</answer>", "go to cabinet 1"),
        ("north", "north"),
        (" North ", "north"),
        ("**pick up**", "pick_up"),
    ],
)
def test_a_known_name_is_read_however_it_is_spelt(text, action):
    assert parse_action(text, KNOWN) == action


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<answer></answer>",
        "<answer>...</answer>",
        "<answer>fly</answer>",
        "<answer>north east</answer> ",
        "<answer>nort</answer>",
        "north or south",
        "north <answer>fly</answer>",
        "I think that north would be best. " * 10,
    ],
)
def test_anything_else_is_no_action(text):
    assert parse_action(text, KNOWN) is None


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("<answer>search[red shoes]</answer>", "search[red shoes]"),
        ("Search[ red\n shoes ]", "search[red shoes]"),
        ("<answer>north</answer>", "north"),
        ("search[]", None),
        ("search[...]", None),  # as prompts show the form
        ("I would search[red shoes]", None),
        ("search[" + "x" * 300 + "]", None),
    ],
)
def test_a_free_form_is_read_with_what_fills_it(text, action):
    assert parse_action(text, KNOWN, ("search[{}]",)) == action


FORMS = ("search[{}]", "say {}", 'write "{}"', "ask ({}) now")


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("search[a]\nclick[b]", None),
        ("search[a] search[b]", None),
        ("search[a\nclick[b]", None),
        ("north\nsearch[a]", None),
        ("search[a]\nnorth", None),
        ("say hello\nnorth", None),
        ("say hello\nsay good bye", None),
        ('write "a" write "b"', None),
        ("ask (a) now ask (b) now", None),
        ("north\neast", None),
        ("<answer>north\neast</answer>", None),
        ("north_east", "north_east"),
        (" \n**North east**\n", "north_east"),
        ("search[shoes [size 5] (red)]", "search[shoes [size 5] (red)]"),
        ("say hello, north", "say hello, north"),
        ('write "a"', 'write "a"'),
        ("ask (how (now)) now", "ask (how (now)) now"),
    ],
)
def test_two_calls_in_one_reply_are_none_and_never_a_third_thing(text, action):
    assert parse_action(text, ("north", "east", "north_east", "click[b]"), FORMS) == action


_BLANK = st.text("ab c\n", min_size=1, max_size=5).filter(str.strip)


@given(
    st.sampled_from(["search[{}]", "click[{}]", "ask ({}) now"]),
    st.sampled_from(["search[{}]", "click[{}]", "north"]),
    _BLANK,
    _BLANK,
)
def test_no_pair_of_calls_is_read_as_one(first, second, a, b):
    for between in ("\n", " ", "", "; ", " and then "):
        reply = first.replace("{}", a) + between + second.replace("{}", b)
        assert parse_action(reply, ("north", "click[b]"), (*FORMS, "click[{}]")) is None


def test_the_open_form_takes_the_whole_reply_or_its_answer_and_known_names_first():
    call = "Let me look.\n<function=bash>\n<parameter=command>ls -a</parameter>\n</function>"
    assert parse_action(call, ("submit",), ("{}",)) == call
    assert parse_action("<answer>submit</answer>", ("submit",), ("{}",)) == "submit"
    assert parse_action("  \n", ("submit",), ("{}",)) is None


def test_without_known_names_nothing_is_an_action():
    assert parse_action("<answer>north</answer>", ()) is None


@given(st.text(), st.lists(st.text(max_size=8), max_size=4))
def test_any_text_gives_a_known_name_or_none(text, known):
    for reply in (text, f"<answer>{text}</answer>"):
        action = parse_action(reply, known)
        assert action is None or action in known


@given(
    st.sampled_from(KNOWN), st.sampled_from([" ", "_", "-"]), st.booleans(), st.text(alphabet=" \n\t.*'\"", max_size=5)
)
def test_case_separators_and_wrapping_never_change_the_action(name, separator, upper, wrapping):
    spelt = name.replace(" ", separator).replace("_", separator)
    spelt = f"{wrapping}{spelt.upper() if upper else spelt}{wrapping}"
    assert parse_action(f"<answer>{spelt}</answer>", KNOWN) == name


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("I am stuck. <search_and_ask>How do I open\n the door?</search_and_ask>", "How do I open the door?"),
        ("<SEARCH_AND_ASK>q</SEARCH_AND_ASK>\n", "q"),
        ("<answer>north</answer> no: <search_and_ask>q</search_and_ask>", "q"),
        ("<search_and_ask>q</search_and_ask> so <answer>north</answer>", None),
        ("<search_and_ask> \n </search_and_ask>", None),
        ("<search_and_ask>cut off", None),
        ("q</search_and_ask>", None),
        ("<answer>north</answer>", None),
        ("", None),
    ],
)
def test_a_tool_call_is_read_where_no_answer_follows_it(text, query):
    assert parse_ask(text) == query


@given(st.text())
def test_any_text_gives_a_bounded_query_or_none(text):
    for reply in (text, f"<search_and_ask>{text * 50}</search_and_ask>"):
        query = parse_ask(reply)
        assert query is None or 0 < len(query) <= MAX_QUERY_CHARS


@pytest.mark.parametrize(
    "bomb", ["<answer>" * 100_000, "</answer>" * 100_000, "<search_and_ask>" * 50_000, "a" * 10**6]
)
def test_huge_replies_are_read_without_blowing_up(bomb):
    assert parse_action(bomb, KNOWN) is None
    assert parse_ask(bomb) is None
