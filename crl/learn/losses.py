"""Losses as pure functions of log-probs: elementwise terms times aggregation weights.

A loss over an optimiser batch is `(term * weight).sum()`, where `token_weight` already holds the
denominators of the *whole* batch. Summing it over micro-batches, accumulation steps or workers in any
partition therefore gives the same loss and gradient. All tensors of a call share one shape, [B, T] or any
flattening of it such as the trainer's [M] of trainable tokens.
"""

from typing import Literal

import torch

Aggregation = Literal["sequence", "token"]


def token_weight(sequence_tokens: int, aggregation: Aggregation, *, total_sequences: int, total_tokens: int) -> float:
    """What each of a sequence's `sequence_tokens` trainable tokens counts in the loss of the optimiser batch.

    sequence:  1 / (sequence_tokens * total_sequences), the mean over sequences of their token means
    token:     1 / total_tokens, the plain mean over tokens
    """
    return 1.0 / (total_tokens if aggregation == "token" else sequence_tokens * total_sequences)


def clipped_policy_loss(
    logprobs: torch.Tensor, old_logprobs: torch.Tensor, advantages: torch.Tensor, *, clip_low: float, clip_high: float
) -> torch.Tensor:
    """The PPO / GRPO term -min(rho A, clip(rho, 1 - low, 1 + high) A), elementwise (method 1.3)."""
    ratio = torch.exp(logprobs - old_logprobs)
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    return -torch.min(ratio * advantages, clipped * advantages)


def cispo_loss(
    logprobs: torch.Tensor, old_logprobs: torch.Tensor, advantages: torch.Tensor, *, clip_low: float, clip_high: float
) -> torch.Tensor:
    """CISPO's term -sg(clip(rho, 1 - low, 1 + high)) A log pi, elementwise (method 2.5).

    `old_logprobs` must be the *sampling* log-probs: with log-probs recomputed just before the step the
    ratio is 1 and stale completions get no correction at all.
    """
    ratio = torch.exp(logprobs.detach() - old_logprobs)
    return -ratio.clamp(1 - clip_low, 1 + clip_high) * advantages * logprobs


def sft_loss(logprobs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted cross-entropy, elementwise: weights are 1 for plain supervised training."""
    return -weights * logprobs


def k3_kl(logprobs: torch.Tensor, reference_logprobs: torch.Tensor) -> torch.Tensor:
    """Schulman's k3 estimate of KL(pi || reference), elementwise: exp(d) - d - 1 with d = log ref - log pi."""
    difference = reference_logprobs - logprobs
    return torch.exp(difference) - difference - 1
