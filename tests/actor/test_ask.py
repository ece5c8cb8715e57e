import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.actor.ask import MAX_ANSWER_CHARS, NOTHING_FOUND, AskTool, read_answer
from crl.types import Experience, Origin

ENTRIES = [
    Experience(f"id-{n}", "maze", f"knowledge {n}", "key", Origin("completion", "r0.g0.e0", 0, "distil"))
    for n in (1, 2)
]


class Shelf:
    """A retriever that finds the same entries whatever the query."""

    def __init__(self, found):
        self.found, self.queries = found, []

    async def retrieve(self, scope, text, *, key, round):
        self.queries.append((scope, text, key, round))
        return list(self.found)


@pytest.fixture
def use(chat, answering, configure):
    """`await use(found, reply)`: one use of the tool, with its engine and retriever."""

    async def run(found, reply, style="full", **engine_options):
        config = configure(extractor={"prompts": style}, actor={"ask": {"max_new_tokens": 321}})
        engine, shelf = answering(reply, **engine_options), Shelf(found)
        tool = AskTool(config, "run", shelf, engine, chat)
        use = await tool.ask("where is the key?", scope="maze", key="r1.g0.e5/ask0", round=1)
        return use, engine, shelf

    return run


async def test_a_question_is_answered_from_the_best_experience_by_one_extractor_completion(use, chat):
    asked, engine, shelf = await use(ENTRIES, "<think>hm</think><answer>Look in the corners.</answer>")
    assert shelf.queries == [("maze", "where is the key?", "r1.g0.e5/ask0", 1)]
    assert asked.answer == "Look in the corners."
    assert asked.entry_ids == ("id-1",)
    assert asked.completion.text.startswith("<think>")
    assert engine.samplings[0].max_new_tokens == 321
    assert "where is the key?" in chat.prompts[0]
    assert "knowledge 1" in chat.prompts[0]
    assert "knowledge 2" not in chat.prompts[0]


async def test_nothing_found_is_a_fixed_sentence_and_no_model_is_called(use):
    asked, engine, _ = await use([], "<answer>never said</answer>")
    assert (asked.answer, asked.completion, asked.entry_ids) == (NOTHING_FOUND, None, ())
    assert engine.keys == []


async def test_an_answer_that_may_not_be_shown_is_no_sample_either(use):
    asked, _, _ = await use(ENTRIES, "<answer>go <|im_end|> east</answer>")
    assert (asked.answer, asked.completion, asked.entry_ids) == (NOTHING_FOUND, None, ("id-1",))


async def test_a_piece_of_the_prompt_is_no_guidance(use):
    asked, _, _ = await use(ENTRIES, "<answer>Be concrete and brief: what to check first, what to do next</answer>")
    assert (asked.answer, asked.completion) == (NOTHING_FOUND, None)


async def test_a_question_too_long_for_the_extractor_gets_the_fixed_sentence_and_loses_no_episode(use):
    asked, engine, _ = await use(ENTRIES, "<answer>never said</answer>", room=20)
    assert (asked.answer, asked.completion, asked.entry_ids) == (NOTHING_FOUND, None, ("id-1",))
    assert (engine.samplings, engine.open_sessions) == ([], 0)


async def test_compact_style_answers_in_plain_words(use, chat):
    asked, _, _ = await use(ENTRIES, "look in the corners", style="compact")
    assert asked.answer == "look in the corners"
    assert chat.prompts == ["ask where is the key? 1 knowledge 1"]


async def test_brief_style_answers_in_one_line(use, chat):
    asked, engine, _ = await use(ENTRIES, "Look in the corners.\n", style="brief")
    assert asked.answer == "Look in the corners."
    assert engine.samplings[0].stop == ("\n",)
    assert "Known: knowledge 1\nQuestion: where is the key?" in chat.prompts[0]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer>a</answer><answer>b</answer>", "b"),
        ("<think>secret</think> go east", "go east"),
        ("go east", "go east"),
        ("<answer></answer>", None),
        ("", None),
        ("x" * 9000, "x" * MAX_ANSWER_CHARS),
    ],
)
def test_the_answer_is_the_last_block_else_what_follows_the_thinking_and_bounded(text, answer):
    assert read_answer(text) == answer


@given(st.text())
def test_any_reply_gives_a_bounded_answer_or_none(text):
    answer = read_answer(text)
    assert answer is None or 0 < len(answer) <= MAX_ANSWER_CHARS
