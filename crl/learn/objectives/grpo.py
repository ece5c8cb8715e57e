"""The clipped policy objective of PPO and GRPO (method 1.3): the paper's for the actor."""

import torch

from crl.learn.objectives import PolicyObjective


class GrpoObjective(PolicyObjective):
    """-min(rho A, clip(rho, 1 - low, 1 + high) A): the clip stops only steps that lead further out."""

    __slots__ = ()

    def token_loss(self, logprobs: torch.Tensor, old_logprobs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """[M] as in `Objective`; `weights` are advantages."""
        ratio = torch.exp(logprobs - old_logprobs)
        return -torch.min(ratio * weights, ratio.clamp(*self.clip_range) * weights)
