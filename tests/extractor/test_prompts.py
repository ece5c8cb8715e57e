import json

import pytest

from crl.extractor.merge_reply import ITEM_END, ITEM_START, parse_merge
from crl.extractor.operations import parse_operations
from crl.extractor.prompts import extractor_prompts, instructions
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


def test_a_brief_distillation_prompt_holds_the_end_of_the_episode_without_what_was_injected(play):
    turns = [(f"Room {number}. {{x}}", "<answer>east</answer>") for number in range(1, 9)]
    entry = "Keep to the\nwall."
    episode = play([*turns, (f"You were told: {entry}", "north")], shown=entry, retrieved=(entry,))
    user = extractor_prompts("brief").distil(episode, [entry], max_operations=3, last_turns=None)[-1]
    for part in ("reach the stairs", "Room 8. {x}\nThe player did: east", "Then: You die.", "The player failed"):
        assert part in user.content
    assert "Room 6" not in user.content
    assert "told: \ufffd\n" in user.content
    assert "Known already: Keep to the wall." in user.content
    short = extractor_prompts("brief").distil(episode, [], max_operations=3, last_turns=0)[-1].content
    assert "did:" not in short


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_told_in_brief(play, outcome):
    episode = play([("A dark room.", "east")], outcome=outcome)
    told = extractor_prompts("brief").distil(episode, [], max_operations=3, last_turns=None)[-1].content
    assert ("The player succeeded." in told) is (outcome is Outcome.SUCCESS)
    assert ("The player failed" in told) is (outcome is not Outcome.SUCCESS)


@pytest.mark.parametrize("style", ["full", "compact", "brief"])
def test_merge_and_ask_prompts_hold_what_they_are_about(style):
    merge = extractor_prompts(style).merge("maze", ["entry one", "entry two"])[-1].content
    assert "maze" in merge
    assert merge.index("1") < merge.index("entry one") < merge.index("entry two")
    ask = extractor_prompts(style).ask("where is the key?", "keys lie in corners")[-1].content
    assert "where is the key?" in ask
    assert "keys lie in corners" in ask


def test_a_reply_that_echoes_the_distillation_prompts_example_is_refused(play):
    example = distil_example(FULL.distil(play([]), ["an entry"], max_operations=3, last_turns=None)[0].content)
    parsed = parse_operations(example, ("entry-1",), form="tagged", max_operations=3, limits=LIMITS)
    assert parsed.refusal.reason == "text_placeholder"


def test_the_merge_prompts_example_has_the_form_that_the_parser_accepts():
    system = FULL.merge("maze", ["a", "b"])[0].content
    assert ITEM_START in system
    assert ITEM_END in system
    example = system[system.index("<answer>\n<<<") : system.index("\n</answer>") + len("\n</answer>")]
    assert len(parse_merge(example, form="tagged", max_items=2, limits=LIMITS).items) == 1


def distil_example(system):
    """What stands in the first <answer> block that holds a list over several lines."""
    start = system.rindex("<answer>\n[")
    return system[start : system.index("]\n</answer>", start) + len("]\n</answer>")]


@pytest.mark.parametrize("max_operations", [1, 2, 3])
@pytest.mark.parametrize("entries", [(), ("first entry",), ("first entry", "second entry")])
def test_every_example_of_a_distillation_prompt_is_a_reply_that_would_be_taken(play, entries, max_operations):
    episode = play([("A dark room.", "east")], retrieved=entries)
    system, user = FULL.distil(episode, entries, max_operations=max_operations, last_turns=None)
    assert ("update" in system.content) == ("target_idx" in system.content) == bool(entries)
    assert "update" not in user.content
    filled = distil_example(system.content).replace("...", "Keep to the wall when the room is dark.")
    ids = tuple(str(number) for number, _ in enumerate(entries))
    parsed = parse_operations(filled, ids, form="tagged", max_operations=max_operations, limits=LIMITS)
    assert [operation.kind for operation in parsed.items] == (["update", "add"] if entries else ["add"])[
        :max_operations
    ]


PHRASES = [
    "<title>what it is about, in one line</title><content>the advice itself</content>",
    "<TITLE>What it is about, in one line.</TITLE>\n<content>\nThe advice itself\n</content>",
    "Title: what it is about, in one line\nContent: the advice itself",
    "what it is about, in one line: the advice itself",
    "<title>Dark rooms</title><content>the advice itself</content>",
    "<title>what it is about, in one line</title><content>Keep to the wall when the room is dark.</content>",
    "<title>Dark rooms</title><content>what not to do, and what it costs</content>",
    "- what to do: a short sequence of actions or decisions, in words that fit any instance;",
    "Then test each entry: Could a reader act on it at once?",
    "Title: what it is about, in one line. Content: the advice itself",
    "The advice itself: what it is about, in one line.",
]
ADVICE = [
    "Keep to the wall when the room is dark.",
    "<title>How to keep track of what was already tried</title><content>Name each visited cell in your thoughts.</content>",
    "<title>Exploration</title><content>Say how to keep track of what was tried, cell by cell, in each thought.</content>",
    "<title>...</title><content>Keep to the wall when the room is dark.</content>",
    "What it is about, in one line: the wall is at your left.",
]


@pytest.mark.parametrize(("text", "echo"), [(text, True) for text in PHRASES] + [(text, False) for text in ADVICE])
def test_the_prompts_own_phrases_are_no_experience_for_any_writer(play, text, echo):
    answer = f"<answer>{json.dumps([{'function_name': 'add', 'parameters': {'new_memory': text}}])}</answer>"
    for entries in ((), ("an entry",)):
        told = instructions(FULL.distil(play([], retrieved=entries), entries, max_operations=3, last_turns=None))
        parsed = parse_operations(answer, (), form="tagged", max_operations=3, limits=LIMITS, told=told)
        assert (parsed.refusal is not None and parsed.refusal.reason == "text_placeholder") is echo
    told = instructions(FULL.merge("maze", ["a", "b"]))
    merged = f"<answer>{ITEM_START}{text}{ITEM_END}</answer>"
    if "Then test each" not in text:  # which the merge prompt does not say
        assert bool(parse_merge(merged, form="tagged", max_items=2, limits=LIMITS, told=told).items) is not echo
