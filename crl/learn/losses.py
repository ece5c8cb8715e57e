"""What all losses share: how elementwise terms are weighted, and the KL term.

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


def k3_kl(logprobs: torch.Tensor, reference_logprobs: torch.Tensor) -> torch.Tensor:
    """Schulman's k3 estimate of KL(pi || reference), elementwise: exp(d) - d - 1 with d = log ref - log pi."""
    difference = reference_logprobs - logprobs
    return torch.exp(difference) - difference - 1
