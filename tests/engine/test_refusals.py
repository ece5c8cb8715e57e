"""Models that this engine cannot feed are refused by name when it opens: before a first episode, and never in silence."""

import pytest
import torch

from benchmarks.models import build
from crl.engine.transformers import TransformersEngine
from crl.errors import EngineError


def open_for(name: str, tokenizer, sessions: int, dtype: torch.dtype = torch.float32) -> TransformersEngine:
    return TransformersEngine(
        build(name).to(dtype), tokenizer, end_ids=(), max_sessions=sessions, context_tokens=96, turnstile=None
    )


# BLOOM counts positions in a mask of its own and raises; the others keep their past in themselves, or nowhere, and say nothing.
@pytest.mark.parametrize("sessions", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("name", "model"),
    [("bloom", "BloomForCausalLM"), ("recurrent_gemma", "RecurrentGemmaForCausalLM"), ("rwkv", "RwkvForCausalLM")],
)
def test_a_model_that_cannot_be_fed_in_pieces_is_refused_by_name(name, model, dtype, sessions, tokenizer):
    with pytest.raises(EngineError, match=rf"{model} cannot be fed in pieces .*Remedy: another engine.kind"):
        open_for(name, tokenizer, sessions, dtype)


@pytest.mark.parametrize("sessions", [1, 4])
@pytest.mark.parametrize("name", ["llama", "mpt", "gpt_oss"])
def test_others_are_opened(name: str, sessions: int, tokenizer):
    open_for(name, tokenizer, sessions).close()
