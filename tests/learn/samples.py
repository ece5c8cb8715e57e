"""Tiny models, random but valid sequences and episodes."""

import numpy as np
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from crl.config.learn import AdamConfig
from crl.learn.sequences import TrainingSequence, WeightedSequence
from crl.seeding import derive_seed, stream

VOCAB = 48


def tiny_model(seed: int = 0, tied: bool = True) -> Qwen2ForCausalLM:
    config = Qwen2Config(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=tied,
        initializer_range=0.3,  # log-probs far from uniform, so that a wrong one shows
    )
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed("test-model", seed))
        return Qwen2ForCausalLM(config)


def random_sequence(generator: np.random.Generator, length: int, temperature: float = 1.0) -> TrainingSequence:
    ids = generator.integers(3, VOCAB, length)
    mask = generator.random(length) < 0.3
    mask[0], mask[generator.integers(1, length)] = False, True
    logprobs = np.where(mask, generator.normal(-3.0, 0.7, length), 0.0)
    return TrainingSequence(
        tuple(map(int, ids)), tuple(map(int, mask)), tuple(float(np.float32(x)) for x in logprobs), temperature
    )


def random_batch(count: int = 8, seed: int = 0, temperature: float = 1.0) -> list[WeightedSequence]:
    generator = stream(seed, "test-batch")
    return [
        WeightedSequence(
            random_sequence(generator, int(generator.integers(6, 40)), temperature),
            float(np.float32(generator.normal())),
        )
        for _ in range(count)
    ]


def adam(**changes: float) -> AdamConfig:
    return AdamConfig(**{"lr": 1e-2, "weight_decay": 0.01, "max_grad_norm": 1.0, "micro_batch_tokens": 128} | changes)
