"""The warm start's objective: weighted cross-entropy. No ratio, so it is none of the choices of `learn.<role>`."""

from dataclasses import dataclass

import torch

from crl.learn.losses import Aggregation


@dataclass(frozen=True, slots=True)
class SupervisedObjective:
    """-w log pi, as `crl.learn.objectives.Objective`; w is 1 for plain supervised training."""

    aggregation: Aggregation = "token"
    kl_coef: float = 0.0
    clip_range: None = None

    def token_loss(self, logprobs: torch.Tensor, old_logprobs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return -weights * logprobs
