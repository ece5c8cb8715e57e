import math

import pytest

from crl.extractor.distil import distil, parse
from crl.extractor.metrics import distil_metrics
from crl.types import OperationKind

ENTRY = "Keep to the wall when the room is dark."
ADVICE = "Look for the door before you look for the key."
ADD = f'<answer>[{{"function_name": "add", "parameters": {{"new_memory": "{ADVICE}"}}}}]</answer>'
UPDATE = ADD.replace('"add"', '"update"').replace('{"new_memory"', '{"target_idx": [1], "new_memory"')


async def test_an_episode_becomes_operations_and_a_training_sample_with_its_whole_prompt(play, scripted, configure):
    engine = scripted(UPDATE)
    episode = play([("A dark room.", "east")], retrieved=(ENTRY,), shown=ENTRY)
    result = await distil(episode, engine=engine, chat=engine.chat, config=configure(), run_id="run")
    assert result.episode == episode.key
    assert result.operations[0].kind is OperationKind.UPDATE
    assert result.operations[0].target_ids == ("entry-1",)
    assert result.refusal is None
    prompt = engine.chat.decode(result.completion.prompt_ids)
    assert prompt == engine.requests[0].prompt
    for part in ("You turn the episodes", "A dark room.", "You die.", ENTRY):
        assert part in prompt
    assert result.completion.version == 3
    assert result.span.name == "distil"
    assert result.span.start_s <= result.span.end_s
    assert engine.open_sessions == 0


async def test_the_same_episode_of_the_same_run_has_the_same_completion_id_and_random_stream(play, scripted, configure):
    engine, episode = scripted(ADD, ADD, ADD), play([("a", "east")])
    first, again, elsewhere = [
        await distil(episode, engine=engine, chat=engine.chat, config=configure(), run_id=run)
        for run in ("run", "run", "other")
    ]
    assert first.completion.id == again.completion.id != elsewhere.completion.id
    assert engine.requests[0].sampling == engine.requests[1].sampling


async def test_a_stored_completion_parses_again_to_the_same_operations(play, scripted, configure):
    config = configure()
    engine = scripted(ADD)
    result = await distil(play([("a", "b")]), engine=engine, chat=engine.chat, config=config, run_id="run")
    assert parse(result.completion, result.shown_ids, "", engine.chat, config).items == result.operations


async def test_an_invalid_reply_is_a_counted_refusal_not_an_error(play, scripted, configure):
    engine = scripted("no idea")
    result = await distil(play([("a", "b")]), engine=engine, chat=engine.chat, config=configure(), run_id="run")
    assert result.operations == ()
    assert result.refusal.reason == "no_answer"


async def test_the_prompts_own_form_of_an_entry_is_no_experience(play, scripted, configure):
    form = "<title>what it is about, in one line</title><content>the advice itself</content>"
    engine = scripted(ADD.replace(ADVICE, form))
    result = await distil(play([("a", "b")]), engine=engine, chat=engine.chat, config=configure(), run_id="run")
    assert form in engine.requests[0].prompt
    assert result.refusal.reason == "text_placeholder"


async def test_more_operations_than_allowed_are_refused(play, scripted, configure):
    config = configure(extractor={"distil": {"max_operations": 1}})
    reply = ADD.replace("}}]", '}}, {"function_name": "add", "parameters": {"new_memory": "' + ENTRY + '"}}]')
    engine = scripted(reply)
    result = await distil(play([("a", "b")]), engine=engine, chat=engine.chat, config=config, run_id="run")
    assert result.refusal.reason == "too_many"


async def test_a_transcript_that_does_not_fit_loses_its_oldest_turns_and_keeps_the_end(play, scripted, configure):
    config = configure(
        models={"extractor": {"context_tokens": 2048}},
        extractor={"distil": {"sampling": {"max_new_tokens": 100}}},
    )
    turns = [(f"observation-{number} " + "word " * 50, "east") for number in range(1, 31)]
    engine = scripted(ADD, room=1100)
    await distil(play(turns, retrieved=(ENTRY,)), engine=engine, chat=engine.chat, config=config, run_id="run")
    prompt = engine.requests[0].prompt
    assert "observation-30" in prompt
    assert "observation-1 " not in prompt
    assert "You die." in prompt
    assert ENTRY in prompt


async def test_without_room_for_the_entries_no_index_can_address_them(play, scripted, configure):
    config = configure(extractor={"prompts": "compact", "distil": {"sampling": {"max_new_tokens": 10}}})
    engine = scripted(UPDATE, room=30)
    result = await distil(
        play([("a", "b")], retrieved=("word " * 50,)), engine=engine, chat=engine.chat, config=config, run_id="run"
    )
    assert engine.requests[0].prompt == "distil maze death"
    assert result.refusal.reason == "bad_target"


async def test_an_episode_too_long_for_the_extractor_is_refused_and_counted_with_the_reason(play, scripted, configure):
    engine, config = scripted(ADD, room=5000), configure(extractor={"distil": {"sampling": {"max_new_tokens": 10}}})
    results = [
        await distil(play([("a", "b")], final=end), engine=engine, chat=engine.chat, config=config, run_id="run")
        for end in ("word " * 6000, "You die.")
    ]
    refused, read = results
    assert (refused.completion, refused.operations) == (None, ())
    assert refused.refusal.reason == "prompt_too_long"
    assert read.completion is not None  # the next one is distilled
    metrics = distil_metrics(results)
    assert (metrics["distil/completions"], metrics["distil/refused_prompt_too_long"]) == (1, 1)
    assert engine.open_sessions == 0


async def test_metrics_name_every_refusal_and_the_share_of_valid_replies(play, scripted, configure):
    engine, config = scripted(ADD, "nothing", UPDATE), configure()
    results = [
        await distil(play([("a", "b")]), engine=engine, chat=engine.chat, config=config, run_id="run") for _ in range(3)
    ]
    metrics = distil_metrics(results)
    assert metrics["distil/completions"] == 3
    assert metrics["distil/valid_share"] == pytest.approx(1 / 3)
    assert metrics["distil/operations_add"] == 1
    assert metrics["distil/refused_no_answer"] == 1
    assert metrics["distil/refused_bad_target"] == 1
    assert metrics["distil/refused_too_many"] == 0
    assert math.isnan(distil_metrics([])["distil/valid_share"])
