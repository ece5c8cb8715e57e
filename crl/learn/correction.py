"""Importance weights between the policy that sampled and the one that an update begins with.

Three policies meet in an update: mu sampled (the engine's arithmetic, maybe of older weights), pi_0 is the trainer's as the
update begins, pi is the trainer's now; they differ from the second optimiser step on. With `learn.<role>.correction` the
objective's ratio is pi / pi_0, what learning moved, and a weight w without a gradient stands for the rest (decoupled PPO,
Hilton et al., arXiv 2110.00641):

    loss of a token = w * objective(pi / pi_0, A)

    token        r = pi_0(token) / mu(token)
    sequence     r = product of these over the sequence's trained tokens, the same for all of them
    truncate     w = min(max(r, low), high)          low = 0: TIS (Yao et al. 2025, Your Efficient RL Framework Secretly Brings
                                                     You Off-Policy RL Training)
    mask         w = r if low <= r <= high else 0    low = 0: MIS (Liu, Li et al. 2025, When Speed Kills Stability), by token
                                                     with low > 0: IcePop (Ring-1T, arXiv 2510.18855)

What is masked still counts in the loss's denominators, which belong to the whole batch. Without a correction pi_0 is left out:
the ratio is pi / mu, and w = 1.
"""

from dataclasses import dataclass
from typing import Self

import torch

from crl.config.correction import CorrectionConfig
from crl.learn.collate import MicroBatch

OFF = CorrectionConfig()


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the M tokens of a micro-batch are compared with. Nothing here carries a gradient."""

    sampled: torch.Tensor  # [M] log mu; the pass's own where no ratio can be taken
    proximal: torch.Tensor  # [M] log-probs that the objective's ratio is taken to
    weights: torch.Tensor  # [M] w
    outside: torch.Tensor  # [M] bool: r is below `low` or above `high`

    @classmethod
    def of(cls, part: MicroBatch, logprobs: torch.Tensor, correction: CorrectionConfig) -> Self:
        """`logprobs` [M] are the pass's own, those of pi_0 too where `part` brings no others."""
        own = logprobs.detach()
        sampled = torch.where(part.in_context, part.old_logprobs, own)
        if not correction.on:
            return cls(sampled, sampled, torch.ones_like(own), torch.zeros_like(part.in_context))
        proximal = own if part.proximal is None else torch.where(part.in_context, part.proximal, own)
        return cls(sampled, proximal, *importance_weights(proximal - sampled, part.counts, correction))


def importance_weights(
    log_ratios: torch.Tensor, counts: tuple[int, ...], correction: CorrectionConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    """log pi_0 - log mu [M], of sequences with `counts` tokens one after the other -> w [M] float32, outside [M] bool."""
    exponents = log_ratios.double()
    if correction.level == "sequence":
        products = torch.stack([of_one.sum() for of_one in exponents.split(counts)])
        exponents = products.repeat_interleave(torch.tensor(counts, device=products.device))
    ratios = exponents.exp()
    outside = (ratios < correction.low) | (ratios > correction.high)  # not a number: neither, and the trainer stops
    weights = (
        ratios.masked_fill(outside, 0.0) if correction.mode == "mask" else ratios.clamp(correction.low, correction.high)
    )
    return weights.float(), outside
