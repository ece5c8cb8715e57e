"""The GPU benchmark, on the CPU with its tiny shape: what will be measured where a GPU can be had."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen3ForCausalLM

from benchmarks.gpu import SHAPES, flops_per_token, measure


def test_the_shape_is_that_of_qwen3_0_6b():
    model = SHAPES["qwen3-0.6b"].model(torch.bfloat16, "meta")
    assert sum(weight.numel() for weight in model.parameters()) == 596_049_920  # the published model's


def test_flops_of_a_training_pass_are_those_counted_by_torch():
    shape = SHAPES["tiny"]
    config = shape.config()
    config._attn_implementation = "eager"
    model = Qwen3ForCausalLM(config)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, shape.length, dtype=torch.long)).logits.sum().backward()
    # Counted: logits of all positions and full attention; ours: of the sampled half, and the causal half of attention.
    table = 6 * shape.hidden * shape.vocabulary / 2
    attention = 6 * shape.layers * shape.heads * shape.head_dim * shape.length
    parameters = sum(weight.numel() for weight in model.parameters())
    ours = flops_per_token(shape, parameters) + table + attention
    assert ours == pytest.approx(counter.get_total_flops() / shape.length, rel=0.02)


@pytest.mark.slow
def test_every_figure_is_measured():
    rows = {row.name: row.figure for row in measure(SHAPES["tiny"], "cpu", repeats=1)}
    assert set(rows) >= {"rollout", "decode", "decode_baseline", "grpo", "grpo_memory"}
    assert all(figure > 0 for figure in rows.values())
