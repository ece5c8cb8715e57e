"""Parameters of the importance weights that a model's loss may carry."""

from typing import Literal

from pydantic import Field

from crl.config.base import Section


class CorrectionConfig(Section):
    """Weights for what engine and age put between the policy that sampled and the one that is trained: crl/learn/correction.py."""

    level: Literal["none", "token", "sequence"] = Field(
        "none",
        description="what an importance weight is of: each token, or all trained tokens of a sequence, as a product; none: nothing "
        "is weighted, and the objective's own ratio is taken to the policy that sampled",
    )
    mode: Literal["truncate", "mask"] = Field(
        "truncate", description="weights outside low and high are put at the bound, or at 0 (MIS; with low, IcePop)"
    )
    low: float = Field(0.0, ge=0, lt=1, description="smallest weight; 0.5 in IcePop")
    high: float = Field(2.0, gt=1, description="largest weight")

    @property
    def on(self) -> bool:
        return self.level != "none"
