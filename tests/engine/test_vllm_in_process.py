"""The contract of engines, held by vLLM in this process: one real engine for all tests."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import llvmlite.binding  # noqa: F401  what other tests may have loaded before
import pytest

from crl.config.servers import EngineConfig
from crl.engine.vllm import in_process
from crl.engine.vllm.in_process import VllmEngine
from crl.errors import EngineError
from tests.engine.contract import EngineContract, once

pytestmark = pytest.mark.filterwarnings("ignore")  # vLLM's own


@pytest.fixture(scope="module")
def engine(opening):
    engine = VllmEngine(replace(opening, engine=EngineConfig(kind="vllm", eager=True)))
    yield engine
    engine.close()


class TestVllmEngine(EngineContract):
    """All of it."""


class WithoutLogprobs:
    """Stands in for vLLM, and ends each request with an answer that cannot be read."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.engine_core = SimpleNamespace(shutdown=lambda: None)

    def add_request(self, name, prompt, params, lora_request) -> None:
        self.asked.append(name)

    def abort_request(self, names) -> None:
        self.asked = [name for name in self.asked if name not in names]

    def step(self) -> list:
        generated = SimpleNamespace(token_ids=[1], logprobs=None, finish_reason="stop")
        return [SimpleNamespace(request_id=name, finished=True, outputs=[generated]) for name in self.asked]


async def test_an_answer_that_cannot_be_read_fails_everyone_who_waits(opening, monkeypatch):
    monkeypatch.setattr(in_process, "_start", lambda opening: WithoutLogprobs())
    engine = VllmEngine(opening)
    try:
        async with asyncio.timeout(60):
            faults = await asyncio.gather(once(engine), once(engine, key="t"), return_exceptions=True)
    finally:
        engine.close()
    assert all(isinstance(fault, EngineError) and "generation failed" in str(fault) for fault in faults)
