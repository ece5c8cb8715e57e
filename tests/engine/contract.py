"""What every engine promises, as tests on an `engine` fixture: each engine's module subclasses `EngineContract`.

The engine holds the `weights` of conftest.py in a context of CONTEXT_TOKENS and ends turns with `end_id`.
"""

import asyncio

import pytest
import torch

from crl.engine.choices import Choices
from crl.engine.protocol import Engine, Sampling
from crl.errors import EngineError
from crl.types import Completion
from tests.engine.conftest import CONTEXT_TOKENS

PROMPT = (10, 11, 12)
Reference = dict[str, torch.Tensor]


async def once(engine: Engine, prompt: tuple[int, ...] = PROMPT, key: str = "s", **sampling) -> Completion:
    async with engine.session(key) as session:
        return await session.generate(prompt, Sampling(**sampling), key)


class EngineContract:
    """Tests that hold whatever runs the model."""

    @pytest.mark.parametrize(
        ("temperature", "top_p", "top_k"), [(1.0, 1.0, 0), (1.0, 0.9, 5), (0.7, 0.9, 0), (0, 1, 0)]
    )
    async def test_logprobs_are_of_the_tempered_softmax_before_truncation(
        self, engine, reference_logprobs, temperature, top_p, top_k
    ):
        options = {"temperature": temperature, "top_p": top_p, "top_k": top_k, "max_new_tokens": 20}
        completions = await asyncio.gather(*(once(engine, seed=seed, key=f"s{seed}", **options) for seed in range(6)))
        for completion in completions:
            expected_TV = reference_logprobs([*PROMPT, *completion.token_ids], temperature)
            for at, (token, logprob) in enumerate(zip(completion.token_ids, completion.logprobs, strict=True)):
                assert logprob == pytest.approx(expected_TV[len(PROMPT) - 1 + at, token].item(), abs=2e-5)

    async def test_requests_of_one_batch_keep_their_own_temperature(self, engine, reference_logprobs):
        temperatures = (0, 0.5, 1.0, 2.0)
        mixed = [once(engine, temperature=t, seed=3, key=f"t{t}", max_new_tokens=8) for t in temperatures]
        for temperature, completion in zip(temperatures, await asyncio.gather(*mixed), strict=True):
            expected_TV = reference_logprobs([*PROMPT, *completion.token_ids], temperature)
            first = expected_TV[len(PROMPT) - 1, completion.token_ids[0]].item()
            assert completion.logprobs[0] == pytest.approx(first, abs=2e-5)
            assert completion.temperature == temperature

    async def test_a_later_turn_continues_the_whole_context(self, engine, reference_logprobs):
        async with engine.session("s") as session:
            first = await session.generate(PROMPT, Sampling(seed=1, max_new_tokens=30), "a")
            second = await session.generate((13, 14), Sampling(seed=2, max_new_tokens=6), "b")
        before = [*PROMPT, *first.token_ids, 13, 14]
        expected_TV = reference_logprobs([*before, *second.token_ids], 1.0)
        expected = [expected_TV[len(before) - 1 + at, token].item() for at, token in enumerate(second.token_ids)]
        assert second.logprobs == pytest.approx(expected, abs=2e-5)
        assert second.prompt_ids == (13, 14)

    async def test_a_context_that_went_back_goes_on_as_one_that_never_held_the_rest(self, engine, reference_logprobs):
        before = PROMPT * 8
        for back in (0, 1, 9, 10, len(before) + 10):  # nothing, within the reply and all of it, and the prompt, too
            async with engine.session(f"back-{back}") as session:
                first = await session.generate(before, Sampling(seed=1, max_new_tokens=10), "a")
                session.rewind(back)
                left = [*before, *first.token_ids][: len(before) + 10 - back]
                assert session.room == CONTEXT_TOKENS - len(left)
                second = await session.generate((13, 14), Sampling(seed=2, max_new_tokens=6), "b")
            expected_TV = reference_logprobs([*left, 13, 14, *second.token_ids], 1.0)
            expected = [expected_TV[len(left) + 1 + at, token].item() for at, token in enumerate(second.token_ids)]
            assert second.logprobs == pytest.approx(expected, abs=2e-5)

    async def test_a_context_goes_back_to_its_beginning_and_no_further(self, engine):
        async with engine.session("s") as session:
            await session.generate(PROMPT, Sampling(seed=1, max_new_tokens=2), "a")
            with pytest.raises(EngineError, match=r"cannot go back 6 of 5 tokens\. Remedy: at most all of them"):
                session.rewind(6)
            running = asyncio.create_task(session.generate((13,), Sampling(seed=2, max_new_tokens=40), "b"))
            await asyncio.sleep(0)
            with pytest.raises(EngineError, match="between two requests"):
                session.rewind(1)
            await running

    async def test_a_seed_decides_alone_and_not_the_batch_mates(self, engine):
        alone = await once(engine, seed=5, max_new_tokens=12)
        crowd = await asyncio.gather(
            *(once(engine, seed=seed, key=f"s{seed}", max_new_tokens=12) for seed in range(12))
        )
        assert crowd[5].token_ids == alone.token_ids
        assert len({completion.token_ids for completion in crowd}) > 6

    async def test_more_prompts_at_once_than_one_step_takes_are_all_served(self, engine):
        length = CONTEXT_TOKENS - 1
        prompts = [tuple(10 + (start + at) % 50 for at in range(length)) for start in range(5000 // length)]
        asked = (once(engine, prompt, f"s{seed}", seed=seed, max_new_tokens=1) for seed, prompt in enumerate(prompts))
        assert all(len(completion.token_ids) == 1 for completion in await asyncio.gather(*asked))

    async def test_an_end_token_is_kept_in_the_ids_but_not_in_the_text(self, engine, end_id, tokenizer):
        crowd = await asyncio.gather(
            *(once(engine, seed=seed, key=f"s{seed}", max_new_tokens=40) for seed in range(40))
        )
        completion = next(found for found in crowd if end_id in found.token_ids)
        assert completion.token_ids.index(end_id) == len(completion.token_ids) - 1
        assert completion.stop_reason == "stop"
        assert completion.text == tokenizer.decode(list(completion.token_ids[:-1]), skip_special_tokens=False)

    async def test_generation_ends_with_the_token_that_completes_a_stop_string(self, engine, tokenizer):
        free = await once(engine, seed=8, max_new_tokens=24)
        for start in range(0, max(1, len(free.text) - 6), 2):
            for length in (1, 2, 5):
                stop = free.text[start : start + length]
                if not stop or "\ufffd" in stop:
                    continue
                ids = list(free.token_ids)
                expected = next(n for n in range(1, len(ids) + 1) if stop in tokenizer.decode(ids[:n]))
                stopped = await once(engine, seed=8, max_new_tokens=24, stop=("@never@", stop))
                assert stopped.token_ids == free.token_ids[:expected], stop
                assert stopped.stop_reason == "stop"
                assert stop in stopped.text

    async def test_a_full_context_ends_generation_and_the_next_turn_is_refused(self, engine):
        async with engine.session("s") as session:
            assert session.room == CONTEXT_TOKENS
            prompt = PROMPT * 30  # long, so that no end token comes before the end of the context
            completion = await session.generate(prompt, Sampling(temperature=0, max_new_tokens=1000), "r")
            assert len(completion.token_ids) == CONTEXT_TOKENS - len(prompt)
            assert completion.stop_reason == "length"
            assert session.room == 0
            with pytest.raises(EngineError, match=f"room for 0 of {CONTEXT_TOKENS}"):
                await session.generate((10,), Sampling(), "r2")

    async def test_room_counts_what_was_fed_and_generated(self, engine):
        async with engine.session("s") as session:
            before = session.room
            completion = await session.generate(PROMPT, Sampling(max_new_tokens=5), "r")
            assert before - session.room == len(PROMPT) + len(completion.token_ids)

    async def test_bad_requests_are_refused_alone(self, engine):
        async with engine.session("s") as session:
            with pytest.raises(EngineError, match="the model knows 0 to"):
                await session.generate((5, 100_000), Sampling(), "r")
            with pytest.raises(EngineError, match="no empty stop string"):
                await session.generate(PROMPT, Sampling(stop=("",)), "r")
            assert await session.generate(PROMPT, Sampling(), "r")

    async def test_a_cancelled_request_ends_its_session_and_no_other(self, engine):
        for attempt in range(20):
            async with engine.session(f"doomed-{attempt}") as doomed:
                running = asyncio.create_task(doomed.generate(PROMPT, Sampling(max_new_tokens=90, seed=2), "r"))
                await asyncio.sleep(0.01)
                if not running.cancel():  # on a busy machine the engine was done before this loop had its turn
                    continue
                with pytest.raises(asyncio.CancelledError):
                    await running
                with pytest.raises(EngineError, match="is over"):
                    await doomed.generate(PROMPT, Sampling(), "r")
                break
        else:
            pytest.fail("no request could be cancelled before it was answered")
        async with asyncio.timeout(60):
            assert await once(engine, max_new_tokens=2)

    async def test_new_weights_reach_running_sessions_and_leave_nothing_of_the_old(
        self, engine, weights, reference_logprobs_of
    ):
        """The log-probs after the change are those of the new weights, also for what the old ones had cached."""
        other = {name: tensor.flip(0) if tensor.dim() == 2 else tensor for name, tensor in weights.items()}
        prompt = PROMPT * 15
        before_version = engine.version
        try:
            async with engine.session("s") as session:
                first = await session.generate(prompt, Sampling(seed=1, max_new_tokens=4), "a")
                assert await asyncio.to_thread(engine.load_weights, other, 71) >= 0
                second = await session.generate((13,), Sampling(seed=2, max_new_tokens=4), "b")
            fresh = await once(engine, prompt=prompt, seed=1, max_new_tokens=4)
        finally:
            await asyncio.to_thread(engine.load_weights, weights, before_version)
        assert (first.version, second.version, fresh.version) == (before_version, 71, 71)
        expected_TV = reference_logprobs_of(other, [*prompt, *fresh.token_ids], 1.0)
        expected = [expected_TV[len(prompt) - 1 + at, token].item() for at, token in enumerate(fresh.token_ids)]
        assert fresh.logprobs == pytest.approx(expected, abs=2e-5)

    async def test_weights_can_be_replaced_while_requests_run(self, engine, weights):
        async def chatter(key: str) -> list[int]:
            async with engine.session(key) as session:
                return [(await session.generate((9,), Sampling(max_new_tokens=3), key)).version for _ in range(12)]

        async def publish() -> None:
            for version in range(1, 4):
                await asyncio.to_thread(engine.load_weights, weights, version)

        async with asyncio.timeout(90):
            *versions, _ = await asyncio.gather(*(chatter(f"s{i}") for i in range(5)), publish())
        assert all(seen == sorted(seen) for seen in versions)
        assert engine.version == 3
        await asyncio.to_thread(engine.load_weights, weights, 0)

    async def test_weights_that_do_not_fit_are_refused(self, engine, weights):
        broken = weights | {"lm_head.weight": torch.zeros(2, 2), "spare": torch.zeros(1)}
        version = engine.version
        with pytest.raises(EngineError, match=r"unknown \['spare'\], other shape \['lm_head.weight'\]"):
            engine.load_weights(broken, 99)
        assert engine.version == version

    async def test_it_measures_how_long_it_was_busy_and_counts_what_it_sampled(self, engine):
        before_s, before = engine.busy_s, engine.tokens
        completions = [await once(engine, max_new_tokens=5, key=f"s{seed}", seed=seed) for seed in range(2)]
        assert engine.busy_s > before_s
        assert engine.tokens - before == sum(len(completion.token_ids) for completion in completions)

    async def test_a_reply_among_choices_is_one_of_them_or_the_request_is_refused(self, engine, end_id):
        replies = {(20, 21), (20, 21, 22), (30,)}
        asked = once(engine, among=Choices(replies, end_id), seed=4, max_new_tokens=1)
        if not engine.constrains:
            with pytest.raises(EngineError, match=r"cannot draw among choices.*Remedy: engine.kind: transformers"):
                await asked
            return
        assert (await asked).token_ids[:-1] in replies

    async def test_each_token_is_told_when_it_is_sampled_or_the_request_is_refused(self, engine):
        heard = []
        async with engine.session("s") as session:
            if not engine.streams:
                with pytest.raises(EngineError, match=r"answers with whole replies. Remedy: engine.kind: transformers"):
                    await session.generate(PROMPT, Sampling(), "r", heard.append)
                return
            completion = await session.generate(PROMPT, Sampling(seed=1, max_new_tokens=9), "r", heard.append)
            assert tuple(heard) == completion.token_ids
            await session.generate((10,), Sampling(max_new_tokens=2), "r2")  # which asks for none
        assert tuple(heard) == completion.token_ids
