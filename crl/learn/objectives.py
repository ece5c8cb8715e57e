"""What a trainer minimises: small frozen values, built from the parameters."""

from dataclasses import dataclass
from typing import Protocol, Self

import torch

from crl.config.learn import ActorLearningConfig, ExtractorLearningConfig
from crl.learn.losses import Aggregation, cispo_loss, clipped_policy_loss, sft_loss


class Objective(Protocol):
    """An elementwise loss and how it is aggregated over the optimiser batch."""

    @property
    def aggregation(self) -> Aggregation: ...

    @property
    def kl_coef(self) -> float: ...

    @property
    def clip_range(self) -> tuple[float, float] | None:
        """Ratios outside it count as clipped in the diagnostics; None where there is no ratio."""
        ...

    def token_loss(self, logprobs: torch.Tensor, old_logprobs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """All [M], one value per trainable token; `weights` is the advantage of the token's sequence."""
        ...


@dataclass(frozen=True, slots=True)
class _RatioObjective:
    """What both policy objectives are built from; their losses differ."""

    clip_low: float
    clip_high: float
    aggregation: Aggregation = "sequence"
    kl_coef: float = 0.0

    @classmethod
    def of(cls, config: ActorLearningConfig | ExtractorLearningConfig) -> Self:
        return cls(config.clip_low, config.clip_high, config.aggregation, config.kl_coef)

    @property
    def clip_range(self) -> tuple[float, float]:
        return 1 - self.clip_low, 1 + self.clip_high


@dataclass(frozen=True, slots=True)
class GrpoObjective(_RatioObjective):
    """The actor's."""

    clip_low: float = 0.2
    clip_high: float = 0.2

    def token_loss(self, logprobs: torch.Tensor, old_logprobs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return clipped_policy_loss(logprobs, old_logprobs, weights, clip_low=self.clip_low, clip_high=self.clip_high)


@dataclass(frozen=True, slots=True)
class CispoObjective(_RatioObjective):
    """The extractor's."""

    clip_low: float = 0.1
    clip_high: float = 0.1

    def token_loss(self, logprobs: torch.Tensor, old_logprobs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return cispo_loss(logprobs, old_logprobs, weights, clip_low=self.clip_low, clip_high=self.clip_high)


@dataclass(frozen=True, slots=True)
class SftObjective:
    """The warm start's."""

    aggregation: Aggregation = "token"
    kl_coef: float = 0.0
    clip_range: None = None

    def token_loss(self, logprobs: torch.Tensor, old_logprobs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return sft_loss(logprobs, weights)
