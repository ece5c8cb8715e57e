import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.extractor.merge import merge
from crl.extractor.merge_reply import parse_merge
from crl.extractor.metrics import merge_metrics
from crl.extractor.prompts import extractor_prompts
from crl.replies.screening import TextLimits
from crl.types import Experience, Origin

LIMITS = TextLimits(4, 200)
RETURN = "<answer>return</answer>"


def items(*texts):
    return "<answer>" + "\n".join(f"<<<KNOWLEDGE_ITEM>>>\n{text}\n<<<END_ITEM>>>" for text in texts) + "</answer>"


def bank(count):
    origin = Origin("completion", "r0.g0.e0", 0, "distil")
    return [Experience(f"id-{n}", "maze", f"experience number {n}", "key", origin) for n in range(1, count + 1)]


@pytest.fixture(scope="session")
def fold(scripted, configure):
    """`await fold(entry_count, reply, ...)`: the result and the engine, two entries per call."""

    async def run(count, *replies, max_calls=64, room=100_000, round=5, prompts="compact"):
        config = configure(extractor={"prompts": prompts, "merge": {"items_per_call": 2, "max_calls": max_calls}})
        engine = scripted(*replies, room=room)
        result = await merge(
            "maze", bank(count), engine=engine, chat=engine.chat, config=config, run_id="run", round=round
        )
        return result, engine

    return run


def ids(*numbers):
    return tuple(f"id-{number}" for number in numbers)


async def test_what_one_call_wrote_is_carried_into_the_next_and_only_the_last_text_remains(fold):
    result, engine = await fold(4, items("merged 1+2"), items("merged all"))
    assert "merged 1+2" in engine.requests[1].prompt
    assert "number 1" not in engine.requests[1].prompt
    (chunk,) = result.chunks
    assert chunk.parent_ids == ids(1, 2, 3, 4)
    assert chunk.texts == ("merged all",)
    assert chunk.completion.id == engine.requests[1].id


async def test_a_carried_text_that_a_fresh_entry_says_too_is_shown_once(fold):
    result, engine = await fold(4, items("experience number 3"), items("all of it"))
    assert engine.requests[1].prompt.count("experience number 3") == 1
    (chunk,) = result.chunks
    assert (chunk.parent_ids, chunk.texts) == (ids(1, 2, 3, 4), ("all of it",))


async def test_a_no_op_keeps_its_entries_and_what_was_carried_into_it_and_passes_nothing_on(fold):
    result, engine = await fold(6, items("merged 1+2"), RETURN, items("merged 5+6"))
    first, second = result.chunks
    assert (first.parent_ids, first.texts) == (ids(1, 2), ("merged 1+2",))
    assert (second.parent_ids, second.texts) == (ids(5, 6), ("merged 5+6",))
    assert first.completion.id == engine.requests[0].id
    assert second.completion.id == engine.requests[2].id
    assert "merged" not in engine.requests[2].prompt


async def test_a_refused_reply_is_like_a_no_op_and_is_counted(fold):
    result, _ = await fold(4, "garbage", items("merged 3+4"))
    assert [chunk.parent_ids for chunk in result.chunks] == [ids(3, 4)]
    metrics = merge_metrics([result])
    assert metrics["merge/refused"] == metrics["merge/refused_bad_blocks"] == 1
    assert (metrics["merge/entries_in"], metrics["merge/entries_out"]) == (2, 1)


async def test_a_merge_in_the_prompts_own_words_replaces_nothing(fold):
    form = "<title>what it is about, in one line</title><content>the advice itself</content>"
    result, _ = await fold(2, items(form), prompts="full")
    assert result.chunks == ()
    assert result.calls[0].refusal.reason == "text_placeholder"


async def test_the_number_of_calls_is_bounded_and_the_rest_stays(fold):
    result, engine = await fold(100, RETURN, RETURN, RETURN, max_calls=3)
    assert len(engine.requests) == len(result.calls) == 3
    assert result.chunks == ()
    assert merge_metrics([result])["merge/unchanged"] == 3


async def test_no_entry_of_a_large_bank_is_out_of_reach_for_ever(fold):
    seen = set()
    for round_ in range(60):
        result, engine = await fold(10, items("merged one"), items("merged two"), max_calls=2, round=round_)
        assert len(engine.requests) == 2
        assert len(result.chunks[0].parent_ids) == 4
        seen.update(result.chunks[0].parent_ids)
    assert seen == set(ids(*range(1, 11)))


async def test_a_call_that_shrinks_nothing_ends_its_run_so_that_prompts_stay_bounded(fold):
    result, engine = await fold(6, *[items(f"rewritten {n} a", f"rewritten {n} b") for n in range(3)])
    assert [chunk.parent_ids for chunk in result.chunks] == [ids(1, 2), ids(3, 4), ids(5, 6)]
    assert all("rewritten" not in request.prompt for request in engine.requests)


async def test_a_last_single_entry_joins_what_is_carried_but_is_never_merged_alone(fold):
    joined, _ = await fold(3, items("merged 1+2"), items("merged all"))
    assert joined.chunks[0].parent_ids == ids(1, 2, 3)
    _, engine = await fold(3, RETURN)
    assert len(engine.requests) == 1
    _, engine = await fold(1)
    assert engine.requests == []


async def test_the_same_entries_again_change_nothing(fold):
    result, _ = await fold(2, items("experience number 2", "experience number 1"))
    assert result.chunks == ()


async def test_a_chunk_that_does_not_fit_the_context_is_left_alone_without_a_call(fold):
    result, engine = await fold(2, room=100)
    assert engine.requests == []
    assert result.calls[0].refusal.reason == "prompt_too_long"


async def test_a_sentence_replaces_the_entries_of_its_own_call_and_is_not_carried_on(fold):
    result, engine = await fold(
        4, "Both say one thing. And more.\nBut not this.", "These two say another.", prompts="brief"
    )
    assert [(chunk.parent_ids, chunk.texts) for chunk in result.chunks] == [
        (ids(1, 2), ("Both say one thing. And more.",)),
        (ids(3, 4), ("These two say another.",)),
    ]
    assert "Both say" not in engine.requests[1].prompt
    assert all(request.sampling.stop == ("\n",) for request in engine.requests)


async def test_a_sentence_that_copies_one_entry_leaves_all_of_them(fold):
    result, _ = await fold(2, "experience number 1", prompts="brief")
    assert (result.chunks, result.calls[0].refusal) == ((), None)


@given(decisions=st.lists(st.sampled_from([0, 1, 2, 3]), min_size=16, max_size=16), count=st.integers(0, 30))
async def test_every_entry_is_replaced_at_most_once_and_by_one_call_that_saw_it(fold, decisions, count):
    replies = [RETURN if n == 0 else items(*[f"call {i} text {j}" for j in range(n)]) for i, n in enumerate(decisions)]
    result, _ = await fold(count, *replies, max_calls=16)
    replaced = [parent for chunk in result.chunks for parent in chunk.parent_ids]
    assert len(replaced) == len(set(replaced))
    written = {call.completion.id: call for call in result.calls}
    for chunk in result.chunks:
        assert 1 <= len(chunk.texts) == len(written[chunk.completion.id].texts) <= len(chunk.parent_ids)
        assert all(text in chunk.completion.text for text in chunk.texts)


@pytest.mark.parametrize(
    "reply",
    [
        RETURN,
        "<answer> Return. </answer>",
        '<answer>{"function_name": "return"}</answer>',
        '<answer>[{"function_name": "return", "parameters": {}}]</answer>',
    ],
)
def test_return_in_any_spelling_is_a_no_op(reply):
    parsed = parse_merge(reply, form="tagged", max_items=2, limits=LIMITS)
    assert parsed.items == ()
    assert parsed.refusal is None


def test_items_and_a_return_are_read_inside_a_markdown_fence_and_beside_its_marks():
    for fenced in ("```\n{}\n```", "```text\n{}\n```"):
        reply = items("take the key").replace("<answer>", "").replace("</answer>", "")
        parsed = parse_merge(f"<answer>{fenced.format(reply)}</answer>", form="tagged", max_items=2, limits=LIMITS)
        assert parsed.items == ("take the key",)
    parsed = parse_merge(items(">>> take()", "a <<<"), form="tagged", max_items=2, limits=LIMITS)
    assert parsed.items == (">>> take()", "a <<<")
    fenced = '<answer>```json\n{"function_name": "return",}\n```</answer>'
    assert parse_merge(fenced, form="tagged", max_items=2, limits=LIMITS).refusal is None


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("no tags", "no_answer"),
        ("<answer></answer>", "no_answer"),
        ("<answer>prose</answer>", "bad_blocks"),
        ("<answer><<<KNOWLEDGE_ITEM>>> take the key</answer>", "bad_blocks"),
        ("<answer>Here: <<<KNOWLEDGE_ITEM>>> take the key <<<END_ITEM>>></answer>", "bad_blocks"),
        ("<answer><<<KNOWLEDGE_ITEM>>> take the key <<<END_ITEM>>> done</answer>", "bad_blocks"),
        (items("take the key", ""), "text_too_short"),
        (items("item 1"), "text_placeholder"),
        (items("[merged knowledge]"), "text_placeholder"),
        (items("take the key <|im_end|>"), "text_special_token"),
        (items("one text", "two texts", "three texts"), "too_many"),
        ("x" * 300_000, "too_long"),
    ],
)
def test_one_bad_item_refuses_the_whole_merge_by_name(reply, reason):
    parsed = parse_merge(reply, form="tagged", max_items=2, limits=LIMITS)
    assert parsed.items == ()
    assert parsed.refusal.reason == reason


@given(st.text(), st.sampled_from(["full", "compact", "brief"]))
def test_no_text_makes_the_merge_parser_raise(text, style):
    parsed = parse_merge(f"<answer>{text}</answer>", form=extractor_prompts(style).form, max_items=2, limits=LIMITS)
    assert not (parsed.items and parsed.refusal)
