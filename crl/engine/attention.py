"""Attention over a long past where several heads share keys and values (GQA), without a copy of these for each head."""

from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_NAME = "crl_grouped"


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """query [B, H, T, D], key and value [B, K, U, D], additive mask [B, 1, T, U] -> [B, T, H, D].

    The H / K heads of a group become T rows more of one product. `sdpa` of transformers gives each head a copy of the past, where a
    mask is given: at SmolLM2's widths 60 of 64 ms a layer, for 32 contexts of 800 tokens that are due one more. It still serves
    what has no mask, or asks for more.
    """
    batch, heads, length, width = query.shape
    shared = heads // key.shape[1]
    asked = more.get("position_bias") is not None or more.get("cache") is not None or more.get("output_attentions")
    if shared == 1 or attention_mask is None or attention_mask.shape[1] != 1 or dropout or asked:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **more
        )
    rows = query.reshape(batch, -1, shared * length, width)
    mixed = F.scaled_dot_product_attention(
        rows, key, value, attn_mask=attention_mask.repeat(1, 1, shared, 1), scale=scaling
    )
    return mixed.reshape(batch, heads, length, width).transpose(1, 2).contiguous(), None


def share_heads(model: PreTrainedModel) -> None:
    """Have the model's layers compute `grouped_attention` where they compute `sdpa`, and heads share keys and values."""
    config = model.config.get_text_config()
    heads, shared = (getattr(config, name, None) for name in ("num_attention_heads", "num_key_value_heads"))
    if model.config._attn_implementation == "sdpa" and heads and shared and shared < heads:
        AttentionInterface.register(_NAME, grouped_attention)
        # Without a mask of that name whoever shares the model would have its padding left unmasked, silently.
        AttentionMaskInterface.register(_NAME, sdpa_mask)
        model.set_attn_implementation(_NAME)
