"""CISPO (method 2.5): the paper's for the extractor, whose completions are trained long after they were sampled."""

from dataclasses import dataclass

import torch

from crl.learn.objectives import PolicyObjective


@dataclass(frozen=True, slots=True)
class CispoObjective(PolicyObjective):
    """-sg(clip(rho, 1 - low, 1 + high)) A log pi: every token keeps its gradient, at a bounded size."""

    clip_low: float = 0.1
    clip_high: float = 0.1

    def token_loss(self, logprobs: torch.Tensor, old_logprobs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """[M] as in `Objective`; `weights` are advantages."""
        ratio = torch.exp(logprobs.detach() - old_logprobs)
        return -ratio.clamp(*self.clip_range) * weights * logprobs
