"""The end of a decoder at chosen positions only.

Nothing after the last attention mixes positions, so the last block's feed-forward part and the final norm
are needed where a log-prob is wanted and nowhere else. For three-layer models and one trainable token in
ten that saves a seventh of an update; for deep models it is neither gain nor loss.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

LLAMA_BLOCK = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}


def has_sparse_tail(decoder: nn.Module) -> bool:
    """Whether the decoder ends as Llama, Qwen2, Qwen3 and Mistral do: x + mlp(norm(x)), then a final norm.

    Not under gradient checkpointing, whose recomputation would run after the hooks of `tail_at` are gone.
    """
    layers = getattr(decoder, "layers", None)
    return (
        isinstance(layers, nn.ModuleList)
        and isinstance(getattr(decoder, "norm", None), nn.Module)
        and {name for name, _ in layers[-1].named_children()} == LLAMA_BLOCK
        and not getattr(layers[-1], "gradient_checkpointing", False)
    )


@contextmanager
def tail_at(decoder: nn.Module, rows: torch.Tensor) -> Iterator[None]:
    """Inside the block the decoder's last hidden state is [1, M, D]: that of the M `rows` of [B * T]."""
    block = decoder.layers[-1]
    shape: list[torch.Size] = []

    def gather(_: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        shape.append(inputs[0].shape)
        return (inputs[0].flatten(0, 1).index_select(0, rows).unsqueeze(0),)

    def scatter(_: nn.Module, __: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        whole = output.new_zeros(shape[-1]).flatten(0, 1)
        return whole.index_copy(0, rows, output.squeeze(0)).view(shape[-1])

    hooks = (
        block.post_attention_layernorm.register_forward_pre_hook(gather),
        block.mlp.register_forward_hook(scatter),
        decoder.norm.register_forward_pre_hook(gather),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
