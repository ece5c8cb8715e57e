"""Tiny language models from scratch, in the Qwen2 architecture: everything that serves Qwen2.5 serves them."""

import torch
from transformers import PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM

from crl.config.play import ModelConfig
from crl.models.resolve import BUILDING
from crl.seeding import derive_seed


def build_model(config: ModelConfig, tokenizer: PreTrainedTokenizerBase, seed: int) -> Qwen2ForCausalLM:
    """A model whose initial weights depend on the shape and the seed only.

    Embeddings are not tied: engines that repack the output layer (vLLM on a CPU) keep the old one when
    tied weights are replaced in place, silently. The feed-forward layer has the 8/3 width of SwiGLU models.
    """
    architecture = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        intermediate_size=-(-config.hidden_size * 8 // 3 // 16) * 16,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=config.context_tokens,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with BUILDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("tiny", seed))
        model = Qwen2ForCausalLM(architecture)
    return model.to(getattr(torch, config.dtype)).eval()
