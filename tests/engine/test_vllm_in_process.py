"""The contract of engines, held by vLLM in this process: one real engine for all tests."""

import llvmlite.binding  # noqa: F401  what other tests may have loaded before
import pytest

from crl.config.servers import EngineConfig
from crl.engine.vllm.in_process import VllmEngine
from crl.engine.vllm.serve import servable
from tests.engine.conftest import CONTEXT_TOKENS
from tests.engine.contract import EngineContract

pytestmark = pytest.mark.filterwarnings("ignore")  # vLLM's own


@pytest.fixture(scope="module")
def engine(tokenizer, weights, model_folder, end_id, tmp_path_factory):
    engine = VllmEngine(
        servable(model_folder, tmp_path_factory.mktemp("served") / "actor"),
        tokenizer,
        shapes={name: tensor.shape for name, tensor in weights.items()},
        vocabulary=len(tokenizer),
        end_ids=[end_id],
        max_sessions=16,
        context_tokens=CONTEXT_TOKENS,
        config=EngineConfig(kind="vllm", eager=True),
        device="cpu",
    )
    yield engine
    engine.close()


class TestVllmEngine(EngineContract):
    """All of it."""
