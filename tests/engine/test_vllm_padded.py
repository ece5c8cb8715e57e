"""Ids without a text are never sampled: vLLM in this process."""

from dataclasses import replace

import pytest

from crl.config.servers import EngineConfig
from crl.engine.vllm.in_process import VllmEngine
from tests.engine import padded

pytestmark = pytest.mark.filterwarnings("ignore")  # vLLM's own


async def test_no_id_without_a_text_is_sampled(tokenizer, weights, tmp_path):
    opening = padded.opening_of(tokenizer, weights, tmp_path / "model")
    engine = VllmEngine(replace(opening, engine=EngineConfig(kind="vllm", eager=True)))
    await padded.check(engine, opening)
    engine.close()
