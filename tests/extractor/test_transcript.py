from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from crl.extractor.prompts import extractor_prompts
from crl.extractor.transcript import transcript
from crl.replies.screening import TextLimits, screen
from crl.types import AskUse, TurnKind

ADVICE = "Walk along the wall until the stairs come into view."


def test_every_turn_and_the_terminal_observation_are_role_labelled_lines(play):
    episode = play([("A dark room.", "I go east <answer>east</answer>"), ("A wall.", "north")], final="A lynx bites!")
    assert transcript(episode) == (
        "environment [1]: A dark room.\n"
        "agent [1]: I go east <answer>east</answer>\n"
        "environment [2]: A wall.\n"
        "agent [2]: north\n"
        "environment [end]: A lynx bites!"
    )


def test_the_last_turns_keep_their_numbers_and_say_what_is_left_out(play):
    lines = transcript(play([("a", "1"), ("b", "2"), ("c", "3")]), last_turns=1).splitlines()
    assert lines[:2] == ["(the first 2 turns are left out)", "environment [3]: c"]


def test_an_experts_answer_follows_the_turn_that_asked_for_it(play):
    episode = play([("a", "help?"), ("a", "east"), ("b", "help!")])
    turns = tuple(replace(t, kind=TurnKind.ASK) if "help" in t.completion.text else t for t in episode.turns)
    asks = (AskUse("help?", (), None, "first answer"), AskUse("help!", (), None, "second answer"))
    episode = replace(episode, turns=turns, asks=asks)
    assert transcript(episode).splitlines()[2] == "expert [1]: first answer"
    assert transcript(episode, last_turns=1).splitlines()[3] == "expert [3]: second answer"


def test_an_injected_experience_is_removed_even_where_the_actor_quotes_it(play):
    episode = play(
        [(f"Advice: {ADVICE} A dark room.", f"It says: {ADVICE} <answer>east</answer>")],
        shown=ADVICE,
        retrieved=(ADVICE,),
    )
    assert ADVICE not in transcript(episode)
    assert "<answer>east</answer>" in transcript(episode)


def test_a_rejected_experience_leaves_the_transcript_as_it_was(play):
    assert "east" in transcript(play([("a", "east")], shown=None, retrieved=("east",)))


def test_the_prompt_lists_retrieved_entries_although_the_transcript_hides_them(play):
    episode = play([("a", f"{ADVICE} east")], shown=ADVICE, retrieved=(ADVICE,))
    user = extractor_prompts("full").distil(episode, [ADVICE], max_operations=3, last_turns=None)[-1].content
    assert user.count(ADVICE) == 1
    assert f"1. {ADVICE}" in user


_SHOWN = st.text("ab ", min_size=4, max_size=8).map(str.strip).filter(lambda t: screen(t, TextLimits(1, 80)) is None)


@given(shown=_SHOWN, around=st.lists(st.text("ab \n", max_size=6), min_size=1, max_size=4))
def test_no_transcript_contains_the_experience_that_was_shown(play, shown, around):
    text = shown.join(around)
    episode = play([(text, text), (shown, text)], shown=shown, retrieved=(shown, shown + shown), final=text)
    body = transcript(episode)
    for label in ("environment", "agent"):  # the labels' own letters may spell a short text
        body = body.replace(label, "")
    assert shown not in body
