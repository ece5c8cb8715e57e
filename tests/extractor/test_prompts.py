import pytest

from crl.extractor.merge_reply import ITEM_END, ITEM_START, parse_merge
from crl.extractor.operations import parse_operations
from crl.extractor.prompts import extractor_prompts
from crl.replies.screening import TextLimits
from crl.types import Outcome

FULL = extractor_prompts("full")
LIMITS = TextLimits(FULL.min_chars, 4000)


def test_a_full_distillation_prompt_holds_every_field(play):
    episode = play([("A dark room.", "east")], retrieved=("first entry", "second entry"), outcome=Outcome.TIMEOUT)
    system, user = FULL.distil(episode, ["first entry", "second entry"], max_operations=2, last_turns=None)
    assert (system.role, user.role) == ("system", "user")
    assert "at most 2 of these operations" in system.content
    for part in ("maze", "reach the stairs", "timeout", "A dark room.", "You die.", "1. first entry\n2. second entry"):
        assert part in user.content


def test_a_distillation_prompt_says_that_nothing_was_retrieved(play):
    assert "(none)" in FULL.distil(play([]), [], max_operations=3, last_turns=None)[1].content


def test_a_compact_distillation_prompt_has_at_most_forty_words_with_an_entry(play):
    entry = "go to unvisited cells first and then take the key to the door"
    episode = play([("n:open e:wall", "east")] * 30, retrieved=(entry,))
    messages = extractor_prompts("compact").distil(episode, [entry], max_operations=3, last_turns=None)
    assert [message.content for message in messages] == [f"distil maze death 1 {entry}"]
    assert len(messages[0].content.split()) <= 40


def test_texts_with_braces_enter_a_prompt_as_they_are(play):
    episode = play([("{goal} {0}", "east")], retrieved=("use {braces}",))
    user = FULL.distil(episode, ["use {braces}"], max_operations=3, last_turns=None)[1].content
    assert "{goal} {0}" in user
    assert "1. use {braces}" in user
    assert "{x}" in FULL.merge("maze", ["{x}", "y"])[1].content
    assert "{x}" in FULL.ask("{x}", "{y}")[1].content


@pytest.mark.parametrize("style", ["full", "compact"])
def test_merge_and_ask_prompts_hold_what_they_are_about(style):
    merge = extractor_prompts(style).merge("maze", ["entry one", "entry two"])[-1].content
    assert "maze" in merge
    assert merge.index("1") < merge.index("entry one") < merge.index("entry two")
    ask = extractor_prompts(style).ask("where is the key?", "keys lie in corners")[-1].content
    assert "where is the key?" in ask
    assert "keys lie in corners" in ask


def test_a_reply_that_echoes_the_distillation_prompts_example_is_refused(play):
    system = FULL.distil(play([]), [], max_operations=3, last_turns=None)[0].content
    example = system[system.rindex("<answer>\n[") : system.index("]\n</answer>") + len("]\n</answer>")]
    parsed = parse_operations(example, ("entry-1",), tagged=True, max_operations=3, limits=LIMITS)
    assert parsed.refusal.reason == "text_placeholder"


def test_the_distillation_prompts_example_has_the_form_that_the_parser_accepts(play):
    system = FULL.distil(play([]), [], max_operations=3, last_turns=None)[0].content
    example = system[system.rindex("<answer>\n[") : system.index("]\n</answer>") + len("]\n</answer>")]
    filled = example.replace("...", "Keep to the wall when the room is dark.")
    assert len(parse_operations(filled, ("e",), tagged=True, max_operations=3, limits=LIMITS).items) == 2


def test_the_merge_prompts_example_has_the_form_that_the_parser_accepts():
    system = FULL.merge("maze", ["a", "b"])[0].content
    assert ITEM_START in system
    assert ITEM_END in system
    example = system[system.index("<answer>\n<<<") : system.index("\n</answer>") + len("\n</answer>")]
    assert len(parse_merge(example, tagged=True, max_items=2, limits=LIMITS).items) == 1
