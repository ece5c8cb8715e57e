"""The clipped policy objective of PPO and GRPO (method 1.3): the paper's for the actor."""

import math

import torch

from crl.learn.objectives import PolicyObjective


class GrpoObjective(PolicyObjective):
    """-min(rho A, clip(rho, 1 - low, 1 + high) A): the clip stops only steps that lead further out.

    With `dual_clip` c and A < 0, -max(that min, c A) (Ye et al. 2020, arXiv 1912.09729): a token that has become much
    likelier is not pushed back by more than c |A|. Without it that has no bound.
    """

    __slots__ = ()

    def token_loss(self, logprobs: torch.Tensor, old_logprobs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """[M] as in `Objective`; `weights` are advantages."""
        log_ratio = logprobs - old_logprobs
        if self.dual_clip is not None:  # above 1 + high: where A > 0, the clip is there already
            log_ratio = log_ratio.clamp(max=math.log(self.dual_clip))
        ratio = torch.exp(log_ratio)
        return -torch.min(ratio * weights, ratio.clamp(*self.clip_range) * weights)
