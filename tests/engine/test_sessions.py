"""What a session promises: its turn, room, stops, cancellation, and errors that name the fault."""

import asyncio
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crl.engine.protocol import Sampling
from crl.engine.slots import Slots
from crl.errors import EngineError
from crl.lockstep import Turnstile

PROMPT = (10, 11, 12)


def long_plans(sessions: int) -> dict:
    return {
        f"s{i}": [
            (tuple(range(6 + i, 10 + 2 * i)), Sampling(max_new_tokens=1 + i % 3, seed=9 * i + t)) for t in range(5)
        ]
        for i in range(sessions)
    }


def test_lockstep_gives_the_same_bytes_in_whatever_order_requests_arrive(make_engine, play):
    plans = long_plans(9)
    outcomes = []
    for shuffle in (1, 2, 3):
        turnstile = Turnstile()
        outcomes.append(play(make_engine(turnstile, max_sessions=4), turnstile, plans, shuffle))
    assert all(outcome == outcomes[0] for outcome in outcomes)  # log-probs included, to the last bit


def test_a_used_engine_gives_the_same_bytes_as_a_fresh_one(make_engine, play):
    turnstile = Turnstile()
    engine = make_engine(turnstile, max_sessions=4)
    first = play(engine, turnstile, long_plans(7))
    assert play(engine, turnstile, long_plans(7)) == first


@pytest.mark.parametrize("schedule", ["lockstep", "async"])
def test_more_sessions_than_slots_are_served_in_turn(make_engine, play, schedule):
    turnstile = Turnstile() if schedule == "lockstep" else None
    engine = make_engine(turnstile, max_sessions=2)
    played = play(engine, turnstile, long_plans(9))
    assert all(len(session.completions) == 5 for session in played.values())


@pytest.mark.parametrize("schedule", ["lockstep", "async"])
async def test_a_session_opened_inside_another_is_served_even_when_all_slots_are_held(make_engine, schedule):
    turnstile = Turnstile() if schedule == "lockstep" else None
    engine = make_engine(turnstile, max_sessions=2)

    async def nested(key: str) -> tuple:
        async with engine.session(key) as outer:
            first = await outer.generate(PROMPT, Sampling(seed=1, max_new_tokens=4), key)
            async with engine.session(key + "/gate") as inner:
                await inner.generate(PROMPT, Sampling(seed=2), key)
            return first.token_ids + (await outer.generate((13,), Sampling(seed=3, max_new_tokens=4), key)).token_ids

    async def take_part(key: str) -> tuple:
        if turnstile is None:
            return await nested(key)
        with turnstile.participant():
            return await nested(key)

    async with asyncio.timeout(60):  # which it would not keep without taking slots away
        outcomes = await asyncio.gather(*(take_part(f"s{i}") for i in range(4)))
    assert len(set(outcomes)) == 1  # same seeds and context: losing the cache in between changed nothing


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 20), length=st.integers(1, 9), prompt=st.integers(10, 200))
def test_generation_ends_with_the_token_that_completes_a_stop_string(
    make_engine, play, tokenizer, start, length, prompt
):
    """The stop string is cut from what the model says anyway, at any place: inside a token or over several."""
    turnstile = Turnstile()
    engine = make_engine(turnstile)
    plan = {"free": [((prompt,), Sampling(max_new_tokens=24, seed=5))]}
    free = play(engine, turnstile, plan)["free"].completions[0]
    stop = free.text[start : start + length]
    if not stop or "\ufffd" in stop:
        return
    expected = next(n for n in range(1, len(free.token_ids) + 1) if stop in tokenizer.decode(list(free.token_ids[:n])))
    plan = {"stopped": [((prompt,), Sampling(max_new_tokens=24, seed=5, stop=("@never@", stop)))]}
    stopped = play(engine, turnstile, plan)["stopped"].completions[0]
    assert stopped.token_ids == free.token_ids[:expected]
    assert stopped.stop_reason == "stop"


def test_an_end_token_ends_the_turn_and_is_kept_in_the_ids_but_not_in_the_text(make_engine, play):
    turnstile = Turnstile()
    free = play(make_engine(turnstile), turnstile, {"s": [(PROMPT, Sampling(max_new_tokens=9, seed=4))]})[
        "s"
    ].completions[0]
    end = free.token_ids[3]
    cut = free.token_ids.index(end) + 1
    turnstile = Turnstile()
    engine = make_engine(turnstile, end_ids=[end])
    ended = play(engine, turnstile, {"s": [(PROMPT, Sampling(max_new_tokens=9, seed=4))]})["s"].completions[0]
    assert ended.token_ids == free.token_ids[:cut]
    assert ended.stop_reason == "stop"
    assert free.text.startswith(ended.text)
    assert len(ended.logprobs) == cut


async def test_a_full_context_ends_generation_and_the_next_turn_is_refused(make_engine):
    engine = make_engine()
    async with engine.session("s") as session:
        room = session.room
        completion = await session.generate(PROMPT, Sampling(max_new_tokens=1000), "r")
        assert len(completion.token_ids) == room - len(PROMPT)
        assert completion.stop_reason == "length"
        assert session.room == 0
        with pytest.raises(EngineError, match="room for 0 of 96"):
            await session.generate((10,), Sampling(), "r2")


async def test_room_counts_what_was_fed_and_generated(make_engine):
    engine = make_engine()
    async with engine.session("s") as session:
        before = session.room
        completion = await session.generate(PROMPT, Sampling(max_new_tokens=5), "r")
        assert before - session.room == len(PROMPT) + len(completion.token_ids)


async def test_cancelling_a_queued_session_frees_its_place_in_lockstep(make_engine):
    turnstile = Turnstile()
    engine = make_engine(turnstile, max_sessions=1)

    async def episode(key: str) -> object:
        with turnstile.participant():
            async with engine.session(key) as session:
                return await session.generate(PROMPT, Sampling(max_new_tokens=1), key)

    with turnstile.participant():  # holds the gate shut
        doomed = asyncio.create_task(episode("doomed"))
        await asyncio.sleep(0)
        doomed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doomed
    async with asyncio.timeout(60):
        assert await episode("other")
    assert engine._scheduler.steps == 1


async def test_cancelling_a_running_session_stops_it_and_frees_its_place(make_engine):
    engine = make_engine(max_sessions=1)
    forward, started = engine._model.forward, threading.Event()

    def slow(*args, **kwargs):
        started.set()
        time.sleep(0.01)
        return forward(*args, **kwargs)

    engine._model.forward = slow
    async with engine.session("doomed") as doomed:
        running = asyncio.create_task(doomed.generate(PROMPT, Sampling(max_new_tokens=1000), "r"))
        await asyncio.to_thread(started.wait)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        with pytest.raises(EngineError, match="is over"):
            await doomed.generate(PROMPT, Sampling(), "r")
        async with asyncio.timeout(60), engine.session("other") as other:  # although `doomed` is still open
            assert await other.generate(PROMPT, Sampling(max_new_tokens=2), "r")
    assert engine._scheduler.steps < 90


@pytest.mark.parametrize("schedule", ["lockstep", "async"])
async def test_a_failing_model_reaches_the_waiters_and_the_engine_goes_on(make_engine, schedule):
    turnstile = Turnstile() if schedule == "lockstep" else None
    engine = make_engine(turnstile)
    forward = engine._model.forward

    def broken(*args, **kwargs):
        raise RuntimeError("out of memory")

    async def episode(key: str) -> object:
        async with engine.session(key) as session:
            return await session.generate(PROMPT, Sampling(), key)

    async def take_part(key: str) -> object:
        if turnstile is None:
            return await episode(key)
        with turnstile.participant():
            return await episode(key)

    engine._model.forward = broken
    async with asyncio.timeout(60):
        faults = await asyncio.gather(take_part("a"), take_part("b"), return_exceptions=True)
    assert all(isinstance(fault, EngineError) and "out of memory" in str(fault) for fault in faults)
    engine._model.forward = forward
    async with asyncio.timeout(60):
        assert await take_part("c")


async def test_closing_the_engine_tells_those_who_wait(make_engine):
    engine = make_engine(Turnstile())

    async def episode() -> None:
        with engine._turnstile.participant():
            async with engine.session("s") as session:
                await session.generate(PROMPT, Sampling(), "r")

    with engine._turnstile.participant():  # holds the gate shut
        waiting = asyncio.create_task(episode())
        await asyncio.sleep(0)
        engine.close()
        with pytest.raises(EngineError, match="closed"):
            await waiting
    with pytest.raises(EngineError, match="closed"):
        await engine.session("late").generate(PROMPT, Sampling(), "r")


@pytest.mark.parametrize(
    ("new_ids", "sampling", "message"),
    [
        ((), Sampling(), "nothing to continue"),
        ((5, 100_000), Sampling(), "the model knows 0 to"),
        ((-1,), Sampling(), "the model knows 0 to"),
        (tuple([9] * 96), Sampling(), "room for 96 of 96 tokens, got 96"),
        (PROMPT, Sampling(stop=("",)), "no empty stop string"),
        (PROMPT, Sampling(max_new_tokens=0), "max_new_tokens >= 1"),
        (PROMPT, Sampling(top_p=0), "0 < top_p <= 1"),
        (PROMPT, Sampling(temperature=-1), "temperature >= 0"),
    ],
)
async def test_bad_requests_are_refused_alone_with_the_value_and_a_remedy(make_engine, new_ids, sampling, message):
    engine = make_engine()
    async with engine.session("s") as session:
        with pytest.raises(EngineError, match=message):
            await session.generate(new_ids, sampling, "r")
        assert await session.generate(PROMPT, Sampling(), "r")


def test_models_that_do_not_attend_to_the_whole_context_are_refused(make_model):
    from crl.engine.decoder import Decoder

    model = make_model()
    model.config.sliding_window, model.config.layer_types = 32, ["sliding_attention", "full_attention"]
    with pytest.raises(EngineError, match="a sliding window of 32 tokens"):
        Decoder(model, 1, 96)
    model.config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(EngineError, match="linear_attention"):
        Decoder(model, 1, 32)


@pytest.mark.parametrize("ended", ["cancelled", "left"])
async def test_a_session_that_ends_while_others_are_admitted_fails_nobody(make_engine, monkeypatch, ended):
    """Sessions end on threads of their own: here after the scheduler has seen who runs, and before it gives out slots."""
    engine = make_engine(max_sessions=2)
    leaver, other, late = (engine.session(key) for key in ("leaver", "other", "late"))
    long = Sampling(max_new_tokens=60, seed=1)
    running = [asyncio.create_task(session.generate(PROMPT, long, session._context.key)) for session in (leaver, other)]
    while len(engine._scheduler.running) < 2:
        await asyncio.sleep(0)
    take, request = Slots.take, leaver._request

    def take_just_after_the_end(slots, context, *rest):
        if context is late._context and not request.context.closed:
            request.context.closed = True  # as __aexit__ begins
            if ended == "cancelled":
                request.cancelled = True
        return take(slots, context, *rest)

    monkeypatch.setattr(Slots, "take", take_just_after_the_end)
    answer = await late.generate(PROMPT, Sampling(seed=2), "late")
    assert len((await running[1]).token_ids) == 60
    assert answer.token_ids
    running[0].cancel()
