"""The end of a decoder at chosen positions only.

Nothing after the last attention mixes positions, so the last block's feed-forward part and the final norm
are needed where a log-prob is wanted and nowhere else. For three-layer models and one trainable token in
ten that saves a tenth of an update; for deep models it is neither gain nor loss. A model is tried first: blocks
that bear the same names may do something else.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

LLAMA_BLOCK = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}


@torch.no_grad()
def has_sparse_tail(decoder: nn.Module, probe: torch.Tensor) -> bool:
    """Whether the decoder ends as Llama, Qwen2, Qwen3 and Mistral do: x + mlp(norm(x)), then a final norm.

    Tried on `probe`, ids [B, T]. Blocks whose feed-forward part returns a tuple (the router's scores of gpt-oss) do not.
    """
    layers = getattr(decoder, "layers", None)
    alike = (
        isinstance(layers, nn.ModuleList)
        and isinstance(getattr(decoder, "norm", None), nn.Module)
        and {name for name, _ in layers[-1].named_children()} == LLAMA_BLOCK
    )
    if not alike:
        return False
    outputs: list[object] = []
    watch = layers[-1].mlp.register_forward_hook(lambda _, __, output: outputs.append(output))
    try:
        whole = decoder(input_ids=probe, use_cache=False).last_hidden_state
    finally:
        watch.remove()
    if not all(isinstance(output, torch.Tensor) and output.shape == whole.shape for output in outputs):
        return False
    rows = torch.arange(1, probe.numel(), 2, device=probe.device)
    with tail_at(decoder, rows):
        part = decoder(input_ids=probe, use_cache=False).last_hidden_state.squeeze(0)
    return torch.allclose(part, whole.flatten(0, 1).index_select(0, rows), rtol=1e-4, atol=1e-5)


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
