"""`crl plan` counts bytes as real models have them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.checkpoint import checkpoint
from transformers import PretrainedConfig, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from crl.config.learn import LoraConfig
from crl.engine.kv_cache import SlotCache
from crl.errors import ConfigError
from crl.learn.scoring import TokenScorer
from crl.models.adapter import adapter_tensors, add_adapter
from crl.plan import memory
from crl.plan.shapes import KNOWN, Shape, shape_of

MODELS = {"qwen2": (Qwen2Config, Qwen2ForCausalLM), "qwen3": (Qwen3Config, Qwen3ForCausalLM)}


def architecture(kind: str, shape: Shape) -> PretrainedConfig:
    return MODELS[kind][0](
        hidden_size=shape.hidden, num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads, head_dim=shape.head_dim, intermediate_size=shape.feed_forward,
        vocab_size=shape.vocabulary, tie_word_embeddings=shape.tied, eos_token_id=None, bos_token_id=None,
    )  # fmt: skip


def small(kind: str, layers: int = 2, tied: bool = True) -> Shape:
    # No two widths are equal, so that no two terms of a formula can stand for each other.
    return Shape("small", 48, layers, 4, 2, 16, 224, 96, tied, biases=kind == "qwen2", head_norms=kind == "qwen3")


def model_of(kind: str, shape: Shape) -> torch.nn.Module:
    return MODELS[kind][1](architecture(kind, shape))


@pytest.mark.parametrize("shape", KNOWN.values(), ids=lambda shape: shape.name)
def test_parameters_of_every_known_model_are_those_of_its_architecture(shape: Shape) -> None:
    with torch.device("meta"):
        model = model_of("qwen2" if shape.biases else "qwen3", shape)
    assert shape.parameters == sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_folder_is_read_from_its_config_alone(kind: str, tmp_path: Path) -> None:
    shape = small(kind, tied=False)
    architecture(kind, shape).save_pretrained(tmp_path)
    assert shape_of(str(tmp_path)).parameters == shape.parameters
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    with pytest.raises(ConfigError, match=r"hidden_size.*Remedy"):
        shape_of(str(tmp_path))


def test_names_find_their_shape_and_strangers_are_told_what_is_known() -> None:
    assert shape_of("Qwen/Qwen3-4B-Thinking-2507").name == "Qwen3-4B"
    assert shape_of("Qwen/Qwen2.5-7B-Instruct").parameters == 7_615_616_512
    with pytest.raises(ConfigError, match=r"gpt-9.*Qwen3-8B.*Remedy"):
        shape_of("openai/gpt-9")


@pytest.mark.parametrize("kind", MODELS)
def test_a_learner_takes_sixteen_bytes_per_parameter(kind: str) -> None:
    shape, model = small(kind), model_of(kind, small(kind))
    optimizer = torch.optim.AdamW(model.parameters())
    model(input_ids=torch.ones(1, 4, dtype=torch.long)).logits.sum().backward()
    optimizer.step()
    part = memory.training("actor", shape, tokens=4, trainable=2, dtype="float32", checkpointing=False)
    weights = list(model.parameters())
    assert part.bytes["weights"] == sum(weight.nbytes for weight in weights)
    assert part.bytes["gradients"] == sum(weight.grad.nbytes for weight in weights)
    moments = [state[name] for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    assert part.bytes["optimiser"] == sum(moment.nbytes for moment in moments)


def test_a_group_shares_all_but_what_a_pass_needs() -> None:
    one, two = (
        memory.training(
            "actor",
            small("qwen2"),
            tokens=4,
            trainable=2,
            dtype="float32",
            checkpointing=False,
            reference=True,
            gpus=gpus,
        )
        for gpus in (1, 2)
    )
    shared = ("weights", "gradients", "optimiser", "reference")
    assert [two.bytes[name] for name in shared] == [one.bytes[name] // 2 for name in shared]


@pytest.mark.parametrize("targets", [("all-linear",), ("q_proj", "down_proj")])
def test_an_adapter_takes_sixteen_bytes_per_parameter_and_shares_the_weights(targets: tuple[str, ...]) -> None:
    shape, model = small("qwen2"), model_of("qwen2", small("qwen2")).to(torch.bfloat16)
    lora = LoraConfig(rank=3, targets=targets)
    add_adapter(model, lora, field="learn.actor.lora", source="here", seed=0)
    matrices = sum(matrix.numel() for matrix in adapter_tensors(model).values())
    assert shape.adapter_parameters(lora) == matrices
    alone, shared = (
        memory.training(
            "actor", shape, tokens=4, trainable=2, dtype="bfloat16", checkpointing=False, reference=True, adapter=matrices,
            shared=shared,
        )
        for shared in (False, True)
    )  # fmt: skip
    assert alone.bytes["weights"] == sum(weight.nbytes for weight in model.parameters())
    assert shared.bytes["weights"] == sum(matrix.nbytes for matrix in adapter_tensors(model).values()) == 4 * matrices
    assert (shared.bytes["gradients"], shared.bytes["optimiser"]) == (4 * matrices, 8 * matrices)
    assert "reference" not in alone.bytes


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", MODELS)
def test_a_layer_keeps_as_many_bytes_for_the_backward_pass_as_planned(kind: str, dtype: str) -> None:
    tokens = 512
    kept = [kept_bytes(kind, layers, tokens, dtype) for layers in (2, 3)]
    casts = 2 * small(kind).layer_matrices if dtype == "bfloat16" else 0
    planned = [memory.activation_bytes(small(kind, layers), tokens, dtype, checkpointing=False) for layers in (2, 3)]
    assert kept[1] - kept[0] == planned[1] - planned[0] + casts


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", MODELS)
def test_a_checkpointed_layer_keeps_its_input_alone(kind: str, dtype: str) -> None:
    tokens, inputs = 64, {}

    def call(layer: Callable, *arguments: torch.Tensor, **named: object) -> torch.Tensor:
        given = [*arguments, *(value for value in named.values() if isinstance(value, torch.Tensor))]
        inputs.update((tensor.untyped_storage().data_ptr(), tensor) for tensor in given)
        return checkpoint(layer, *arguments, use_reentrant=False, **named)

    model = model_of(kind, small(kind, layers=3)).train()
    model.gradient_checkpointing_enable()
    for layer in model.get_decoder().layers:
        layer._gradient_checkpointing_func = call
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
        model.get_decoder()(input_ids=torch.ones(1, tokens, dtype=torch.long), use_cache=False)
    wide = [tensor.nbytes for tensor in inputs.values() if tensor.shape[-1] == small(kind).hidden]
    one = memory.activation_bytes(small(kind, layers=1), tokens, dtype, checkpointing=False)
    assert sum(wide) + one == memory.activation_bytes(small(kind, layers=3), tokens, dtype, checkpointing=True)


def kept_bytes(kind: str, layers: int, tokens: int, dtype: str) -> int:
    """Storages that autograd holds after the trainer's forward pass, weights aside."""
    scorer = TokenScorer(model_of(kind, small(kind, layers))).train()
    own = {weight.untyped_storage().data_ptr() for weight in scorer.parameters()}
    held: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage  # held: else its address is used again
        return tensor

    ids, rows = torch.randint(0, 96, (1, tokens)), torch.arange(8)
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"),
    ):
        scorer(ids, rows, ids[0, :8], torch.ones(8))
    return sum(storage.nbytes() for storage in held.values())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_engines_cache_is_as_large_as_planned(dtype: str) -> None:
    shape, cache = small("qwen3"), SlotCache(3, 40)
    cache.window.select(0, 1, 1, torch.zeros(1, 1, dtype=torch.long))
    model = model_of("qwen3", shape).to(getattr(torch, dtype))
    with torch.inference_mode():
        model(input_ids=torch.ones(1, 1, dtype=torch.long), past_key_values=cache, use_cache=True)
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    part = memory.slots("actor", shape, sessions=3, context=40, dtype=dtype)
    assert held == part.bytes["cache"] * (40 + 1) / 40  # one more column, for padding
    assert part.bytes["weights"] == sum(weight.nbytes for weight in model.parameters())


def test_fsdp_shards_what_lasts_and_not_the_activations() -> None:
    shape = KNOWN["qwen2.5-7b"]
    one, eight = (
        memory.training("actor", shape, tokens=4096, trainable=400, dtype="bfloat16", gpus=n, checkpointing=False)
        for n in (1, 8)
    )
    for name in ("weights", "gradients", "optimiser"):
        assert eight.bytes[name] == one.bytes[name] // 8
    assert eight.bytes["activations"] == one.bytes["activations"]


def test_a_served_model_leaves_the_rest_of_its_share_for_the_cache() -> None:
    part = memory.paged("actor", KNOWN["qwen3-8b"], memory=80 * memory.GIB, share=0.85, dtype="bfloat16", gpus=2)
    assert part.bytes["weights"] == 8_190_735_360  # 2 bytes, on two GPUs
    assert part.total == 68 * memory.GIB
    assert memory.cache_bytes_per_token(KNOWN["qwen3-8b"], "bfloat16") == 2 * 36 * 8 * 128 * 2
