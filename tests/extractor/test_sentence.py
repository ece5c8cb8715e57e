import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.extractor.distil import distil
from crl.extractor.operations import parse_operations
from crl.extractor.prompts import extractor_prompts
from crl.extractor.sentence import line_in, sentence_in
from crl.replies.screening import TextLimits, screen
from crl.types import OperationKind, Outcome

LIMITS = TextLimits(12, 200)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("Look in the drawer first. Then go.", "Look in the drawer first."),
        ("Sure! Look in the drawer first.", "Look in the drawer first."),
        ('Advice: "Look in the drawer first."', "Look in the drawer first."),
        ("\n1. **Look** in the drawer.\n2. Go.", "Look in the drawer."),
        ("- Look in the drawer", "Look in the drawer"),
        ("Go 3.5 m, e.g. to the east. Stop.", "Go 3.5 m, e.g. to the east."),
        ("看看抽屉里有没有钥匙。然后走。", "看看抽屉里有没有钥匙。然后走。"),
        ("<answer>Look in the drawer.</answer>", "Look in the drawer."),
        ("Keep left.", "Keep left."),
        ("New advice:\n", None),
        ("These tips can be summarized as:", None),
        ("", None),
    ],
)
def test_the_first_sentence_is_what_a_reply_says(said, sentence):
    line = line_in(said)
    assert (line and sentence_in(line)) == sentence


@given(st.text() | st.text('aB.!? \n*"1:-'))
def test_any_text_gives_one_line_of_itself_or_nothing(text):
    line = line_in(text)
    if line is not None:
        for part in (line, sentence_in(line)):
            assert part == part.strip() != ""
            assert len(part.splitlines()) == 1
            assert part in text.replace("**", "")


WORDS = st.lists(st.from_regex(r"[a-z]{2,8}", fullmatch=True), min_size=3, max_size=20)
FRAMES = (
    "{}",
    "{}\n",
    "Sure! {}",
    "Advice: {}",
    '"{}"',
    "- {}",
    "1. {}",
    "{} More of it follows.",
    "<think>No.</think>{}",
)


@given(WORDS, st.sampled_from(".!?"), st.sampled_from(FRAMES))
def test_a_sentence_is_read_out_of_what_stands_around_it(words, end, frame):
    sentence = f"When {' '.join(words)}{end}"
    parsed = parse_operations(
        frame.format(sentence), ("id-1",), form="sentence", max_operations=1, limits=TextLimits(12, 999)
    )
    (operation,) = parsed.items
    assert (operation.kind, operation.text, operation.target_ids) == (OperationKind.ADD, sentence, ())


@given(st.text())
def test_what_the_bank_would_refuse_is_not_added(text):
    parsed = parse_operations(text, (), form="sentence", max_operations=1, limits=LIMITS)
    assert bool(parsed.items) != bool(parsed.refusal)
    assert all(screen(operation.text, LIMITS) is None for operation in parsed.items)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("Go.", "text_too_short"),
        ("You are a helpful coach of a player.", "text_placeholder"),
        ("[insert advice here]", "text_placeholder"),
        ("Take the key <|im_end|> now.", "text_special_token"),
        ("word " * 60, "text_too_long"),
        ("Advice:", "no_answer"),
        ("<think>Look in the drawer", "no_answer"),
    ],
)
def test_a_sentence_is_refused_for_the_reasons_of_any_experience(reply, reason):
    told = "You are a helpful coach of a player."
    parsed = parse_operations(reply, (), form="sentence", max_operations=3, limits=LIMITS, told=told)
    assert parsed.refusal.reason == reason


@pytest.mark.parametrize("outcome", Outcome)
async def test_the_question_and_the_end_that_a_prompt_tells_are_no_experience(play, scripted, configure, outcome):
    """They stand in the user's message, beside the episode, and a small model likes to repeat them."""
    config, episode = configure(extractor={"prompts": "brief"}), replace(play([("a", "b")]), outcome=outcome)
    asked = extractor_prompts("brief").distil(episode, [], max_operations=1, last_turns=None)[-1].content
    own = [
        line for line in asked.splitlines() if line.startswith(("The player failed", "The player succ", "What should"))
    ]
    assert len(own) == 2
    question, order = re.split(r"(?<=\?) ", own[1])
    for said in (own[0], question, order, own[1]):
        engine = scripted(f"{said}\n")
        result = await distil(episode, engine=engine, chat=engine.chat, config=config, run_id="run")
        assert (result.operations, result.refusal.reason) == ((), "text_placeholder"), said


async def test_a_sentence_becomes_one_add_and_its_sample_is_the_whole_completion(play, scripted, configure):
    engine = scripted("Look in the drawer first. Then go on.\n")
    config = configure(extractor={"prompts": "brief"})
    result = await distil(play([("a", "b")]), engine=engine, chat=engine.chat, config=config, run_id="run")
    assert [(operation.kind, operation.text) for operation in result.operations] == [
        ("add", "Look in the drawer first.")
    ]
    assert result.completion.text == "Look in the drawer first. Then go on.\n"
    assert engine.requests[0].sampling.stop == ("\n",)
