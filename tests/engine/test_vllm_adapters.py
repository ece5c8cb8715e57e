"""vLLM in this process takes versions of an adapter by its own LoRA interface, exactly, while requests run."""

import asyncio
from dataclasses import replace

import pytest

from crl.config.learn import LoraConfig
from crl.config.servers import EngineConfig
from crl.engine.protocol import Sampling
from crl.engine.vllm.adapters import KEPT, lora_arguments
from crl.engine.vllm.in_process import VllmEngine
from crl.errors import ConfigError, EngineError
from tests.engine.adapters import adapted, version_of
from tests.engine.contract import PROMPT, once

pytestmark = pytest.mark.filterwarnings("ignore")  # vLLM's own


@pytest.fixture(scope="module")
def ours(opening):
    return adapted(opening)


@pytest.fixture(scope="module")
def engine(ours):
    engine = VllmEngine(replace(ours, engine=EngineConfig(kind="vllm", eager=True)))
    yield engine
    engine.close()


def assert_says(completion, prompt, expected_TV) -> None:
    expected = [expected_TV[len(prompt) - 1 + at, token].item() for at, token in enumerate(completion.token_ids)]
    assert completion.logprobs == pytest.approx(expected, abs=2e-5)


async def test_a_fresh_adapter_says_what_the_model_does(engine, reference_logprobs):
    said = await once(engine, seed=3, max_new_tokens=12)
    assert_says(said, PROMPT, reference_logprobs([*PROMPT, *said.token_ids], 1.0))
    assert said.version == 0


async def test_a_request_is_generated_by_the_version_that_it_began_with(engine, ours, reference_logprobs_of):
    """Without a restart: the next one has the new version, also in a session whose past the old one computed."""
    (one, first_state), (other, second_state) = (version_of(ours, seed) for seed in (1, 2))
    await asyncio.to_thread(engine.load_weights, one, 1)
    long = asyncio.create_task(once(engine, prompt=PROMPT * 10, key="long", seed=5, max_new_tokens=60))
    while not engine._running:
        await asyncio.sleep(0.005)
    async with engine.session("s") as session:
        before = await session.generate(PROMPT, Sampling(seed=1, max_new_tokens=4), "a")
        await asyncio.to_thread(engine.load_weights, other, 2)
        after = await session.generate((13,), Sampling(seed=2, max_new_tokens=4), "b")
    long = await long
    assert (long.version, before.version, after.version) == (1, 1, 2)
    for said, prompt, state in (
        (long, PROMPT * 10, first_state),
        (before, PROMPT, first_state),
        (after, (*PROMPT, *before.token_ids, 13), second_state),
    ):
        assert_says(said, prompt, reference_logprobs_of(state, [*prompt, *said.token_ids], 1.0))


async def test_old_versions_are_forgotten(engine, ours, reference_logprobs_of):
    for seed in range(KEPT + 3):
        weights, state = version_of(ours, 10 + seed)
        await asyncio.to_thread(engine.load_weights, weights, 10 + seed)
    said = await once(engine, seed=3, max_new_tokens=8)
    assert_says(said, PROMPT, reference_logprobs_of(state, [*PROMPT, *said.token_ids], 1.0))
    assert len(list(engine._own.iterdir())) == KEPT


async def test_weights_of_another_adapter_are_refused(engine, ours, weights):
    version = engine.version
    for state in (weights, dict(list(version_of(ours, 1)[0].items())[1:])):
        with pytest.raises(EngineError, match=r"weights do not fit actor: missing .*base_model.model.*Remedy"):
            engine.load_weights(state, 99)
    assert engine.version == version


def test_what_vllm_does_not_compute_is_refused_before_it_starts():
    assert lora_arguments(LoraConfig(rank=9), "float32", "cpu")["max_lora_rank"] == 16
    with pytest.raises(ConfigError, match=r"lora.rank = 513: vLLM takes adapters up to rank 512. Remedy"):
        lora_arguments(LoraConfig(rank=513), "float32", "cpu")
    with pytest.raises(ConfigError, match=r"dtype = 'float32' .*on a GPU.*Remedy: models.<role>.dtype: bfloat16"):
        lora_arguments(LoraConfig(rank=8), "float32", "cuda")
