"""Parameters of the experience bank."""

from typing import Literal

from pydantic import Field

from crl.config.base import Section
from crl.config.servers import WeaviateConfig


class EffectConfig(Section):
    """How the effect of an entry is estimated, see crl/bank/posterior.py."""

    half_life_rounds: float | None = Field(
        None,
        gt=0,
        description="evidence so many rounds old counts half, since the actor changes; null: all counts alike",
    )
    pooling: Literal["cluster", "scope", "none"] = Field(
        "cluster",
        description="what entries learn from each other. cluster: texts that say nearly the same, and the table; scope: the "
        "table; none: nothing",
    )


class RetireConfig(Section):
    """Which entries go into quarantine at the end of a round, since they do harm (`crl bank quarantine` explains)."""

    certainty: float | None = Field(
        None,
        gt=0.5,
        lt=1,
        description="probability of a negative effect above which an entry goes; null: off, as in the paper",
    )
    groups: int = Field(6, ge=1, description="an entry that was measured in fewer groups stays")


class BankConfig(Section):
    index: str = Field(
        "embedded",
        description="what nodes read the bank from. embedded: a snapshot; weaviate: a server; or module:Class. The run itself "
        "always searches its own index",
    )
    weaviate: WeaviateConfig = Field(default_factory=WeaviateConfig)
    scope: Literal["task", "shared"] = Field("task", description="task: each task name has its own table")
    capacity: int = Field(20_000, ge=1, description="entries per table; 20,000 in the paper")
    evict: Literal["fifo", "lru", "random", "effect"] = Field(
        "fifo", description="effect: what is believed to be worth least goes first"
    )
    dedup_similarity: float | None = Field(
        None,
        gt=0,
        le=1,
        description="entries this close, by situation and by text (cosine), become one with the evidence of both; null: off",
    )
    effect: EffectConfig = Field(default_factory=EffectConfig)
    retire: RetireConfig = Field(default_factory=RetireConfig)
    max_entry_chars: int = Field(4000, ge=16, description="longer experiences are refused")
    start: str | None = Field(
        None,
        pattern="^[0-9a-f]{32}$",
        description="digest of the bank that a run starts from, as `crl bank import` prints it; null: an empty one",
    )

    def scope_of(self, task: str) -> str:
        """The table that a task's experiences live in."""
        return task if self.scope == "task" else "shared"
