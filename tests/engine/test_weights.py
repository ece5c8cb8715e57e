"""Weights are replaced in place, as a whole, between two steps; sessions go on."""

import asyncio

import pytest
import torch

from crl.engine.protocol import Sampling
from crl.errors import EngineError
from crl.lockstep import Turnstile

PROMPT = (10, 11, 12)


@pytest.mark.parametrize("schedule", ["lockstep", "async"])
async def test_new_weights_change_what_running_sessions_say_and_the_version_they_report(
    make_engine, weights, reference_logprobs, schedule
):
    turnstile = Turnstile() if schedule == "lockstep" else None
    engine = make_engine(turnstile)
    other = {name: tensor.flip(0) if tensor.dim() == 2 else tensor for name, tensor in weights.items()}

    async def episode() -> list:
        async with engine.session("s") as session:
            first = await session.generate(PROMPT, Sampling(temperature=0, max_new_tokens=6), "a")
            seconds = await asyncio.to_thread(engine.load_weights, other, 7)
            assert seconds >= 0
            return [first, await session.generate(PROMPT, Sampling(temperature=0, max_new_tokens=6), "b")]

    async def fresh() -> object:
        async with engine.session("t") as session:
            return await session.generate(PROMPT, Sampling(temperature=0, max_new_tokens=6), "c")

    async def take_part(work):
        if turnstile is None:
            return await work
        with turnstile.participant():
            return await work

    before, after = await take_part(episode())
    new = await take_part(fresh())
    assert (before.version, after.version, new.version, engine.version) == (0, 7, 7, 7)
    assert new.token_ids != before.token_ids
    old = reference_logprobs([*PROMPT, *new.token_ids], 0)
    assert abs(old[len(PROMPT) - 1, new.token_ids[0]].item() - new.logprobs[0]) > 1e-3


async def test_weights_can_be_replaced_while_the_engine_is_busy(make_engine, weights):
    engine = make_engine(max_sessions=3)

    async def chatter(key: str) -> list[int]:
        async with engine.session(key) as session:
            return [(await session.generate((9,), Sampling(max_new_tokens=3), key)).version for _ in range(12)]

    async def publish() -> None:
        for version in range(1, 6):
            await asyncio.to_thread(engine.load_weights, weights, version)

    async with asyncio.timeout(60):
        *versions, _ = await asyncio.gather(*(chatter(f"s{i}") for i in range(5)), publish())
    assert all(seen == sorted(seen) for seen in versions)
    assert engine.version == 5


def test_weights_that_do_not_fit_are_refused_before_anything_is_copied(make_engine, make_model, weights):
    engine = make_engine()
    broken = {name: tensor + 1 for name, tensor in weights.items()} | {
        "lm_head.weight": torch.zeros(2, 2),
        "spare": torch.zeros(1),
    }
    with pytest.raises(EngineError, match=r"unknown \['spare'\], other shape \['lm_head.weight'\]"):
        engine.load_weights(broken, 1)
    assert engine.version == 0
    for name, tensor in engine._model.state_dict().items():
        assert torch.equal(tensor, weights[name])
