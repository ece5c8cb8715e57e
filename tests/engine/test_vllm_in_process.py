"""The contract of engines, held by vLLM in this process: one real engine for all tests."""

from dataclasses import replace

import llvmlite.binding  # noqa: F401  what other tests may have loaded before
import pytest

from crl.config.servers import EngineConfig
from crl.engine.vllm.in_process import VllmEngine
from tests.engine.contract import EngineContract

pytestmark = pytest.mark.filterwarnings("ignore")  # vLLM's own


@pytest.fixture(scope="module")
def engine(opening):
    engine = VllmEngine(replace(opening, engine=EngineConfig(kind="vllm", eager=True)))
    yield engine
    engine.close()


class TestVllmEngine(EngineContract):
    """All of it."""
