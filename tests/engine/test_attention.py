"""Heads that share keys and values attend as they do in transformers, without copies of these."""

from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from crl.engine.attention import grouped_attention
from crl.engine.decoder import Decoder

small = st.integers(1, 4)


@settings(max_examples=40, deadline=None)
@given(small, small, small, st.integers(1, 6), st.integers(0, 9), st.integers(0, 99))
def test_it_is_the_attention_of_transformers(batch, shared, heads_each, length, past, seed):
    generator = torch.Generator().manual_seed(seed)
    whole = past + length
    query = torch.randn(batch, shared * heads_each, length, 8, generator=generator)
    key, value = torch.randn(2, batch, shared, whole, 8, generator=generator)
    seen = torch.arange(whole) <= torch.arange(past, whole)[:, None]
    mask = torch.where(seen, 0.0, torch.finfo(torch.float32).min).expand(batch, 1, -1, -1)
    module = SimpleNamespace(num_key_value_groups=heads_each, is_causal=True)
    for given_mask in (mask, None) if past == 0 else (mask,):  # the trainer gives none
        ours, _ = grouped_attention(module, query, key, value, given_mask, scaling=0.3)
        theirs, _ = sdpa_attention_forward(module, query, key, value, given_mask, scaling=0.3)
        assert ours.shape == (batch, length, shared * heads_each, 8)
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_a_model_whose_heads_share_is_fed_in_pieces_to_the_log_probs_of_a_whole_forward():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    model, plain = (LlamaForCausalLM(deepcopy(config)).eval() for _ in range(2))
    plain.load_state_dict(model.state_dict())
    decoder = Decoder(model, 2, 40)
    rows = [list(range(5, 25)), list(range(30, 37))]
    decoder.last_logits(0, [row[:-2] for row in rows], [0, 0])
    pieces = decoder.last_logits(0, [row[-2:] for row in rows], [len(row) - 2 for row in rows])
    assert model.config._attn_implementation != plain.config._attn_implementation
    with torch.inference_mode():
        whole = torch.cat([plain(torch.tensor([row])).logits[:, -1] for row in rows])
        for mask in (None, torch.tensor([[0] * 5 + [1] * 15])):  # whoever shares the model with the engine
            ours, theirs = (each(torch.tensor(rows[:1]), attention_mask=mask).logits[:, 5:] for each in (model, plain))
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert pieces.log_softmax(-1).tolist() == [pytest.approx(row, abs=1e-5) for row in whole.log_softmax(-1).tolist()]
