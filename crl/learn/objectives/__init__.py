"""What a trainer minimises: small frozen values, built from a role's section of the parameters (`learn.<role>`).

A file of this folder is an objective by its name (`learn.<role>.objective: cispo` is `CispoObjective` in cispo.py);
`module:Class` names one of any other package.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, Self

import torch

from crl.config.learn import LearningConfig

Aggregation = Literal["sequence", "token"]  # see `crl.learn.collate.Denominators`


class Objective(Protocol):
    """An elementwise loss and how it is aggregated over the optimiser batch."""

    aggregation: Aggregation
    kl_coef: float
    clip_range: (
        tuple[float, float] | None
    )  # outside it ratios count as clipped in the diagnostics; None: there is no ratio

    def token_loss(self, logprobs: torch.Tensor, old_logprobs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """All [M], one value per trainable token; `weights` is the advantage of the token's sequence.

        `old_logprobs` are those of *sampling*; with `learn.<role>.correction`, the trainer's own before the update's first step.
        Every term must be proportional to its weight: sequences of weight 0 are not passed through the model.
        """
        ...


@dataclass(frozen=True, slots=True)
class PolicyObjective:
    """Base of objectives on the ratio between the policy and the one that sampled; only `token_loss` is missing."""

    clip_low: float = 0.2
    clip_high: float = 0.2
    aggregation: Aggregation = "sequence"
    kl_coef: float = 0.0
    dual_clip: float | None = None

    @classmethod
    def of(cls, section: LearningConfig) -> Self:
        """From the parameters of the role that learns."""
        return cls(section.clip_low, section.clip_high, section.aggregation, section.kl_coef, section.dual_clip)

    @property
    def clip_range(self) -> tuple[float, float]:
        return 1 - self.clip_low, 1 + self.clip_high


@dataclass(frozen=True, slots=True)
class SupervisedObjective:
    """The warm start's weighted cross-entropy, -w log pi. No ratio, so it is none of the choices of `learn.<role>`."""

    aggregation: Aggregation = "token"
    kl_coef: float = 0.0
    clip_range: None = None

    def token_loss(self, logprobs: torch.Tensor, old_logprobs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return -weights * logprobs


def k3_kl(logprobs: torch.Tensor, reference_logprobs: torch.Tensor) -> torch.Tensor:
    """Schulman's k3 estimate of KL(pi || reference), elementwise: exp(d) - d - 1 with d = log ref - log pi."""
    difference = reference_logprobs - logprobs
    return torch.exp(difference) - difference - 1
