"""Parameters of rollouts: groups, their halves, and how replies are sampled."""

from typing import Literal

from pydantic import Field, model_validator

from crl.config.base import Section

LEAST_HALF = 2  # episodes of a subgroup that can carry signal


class SamplingConfig(Section):
    temperature: float = Field(1.0, ge=0, description="0 is greedy")
    top_p: float = Field(
        1.0, gt=0, le=1, description="nucleus: smallest set of tokens with this much probability; 1: off"
    )
    top_k: int = Field(0, ge=0, description="0: off")
    max_new_tokens: int = Field(64, ge=1, description="per generation")


class RefillConfig(Section):
    """Further groups of a round whose subgroups are flat: all succeeded or all failed, so the actor learns nothing."""

    signal: float = Field(1.0, gt=0, le=1, description="wanted subgroups with signal, as a share of those planned")
    extra_groups: int = Field(
        0, ge=0, description="played at most beyond rollout.groups to get there; 0: off (the paper)"
    )


class RolloutConfig(Section):
    groups: int = Field(16, ge=1, description="task instances per round; 16 in the paper")
    group_size: int = Field(8, ge=2, description="episodes per instance (G); 8 in the paper")
    free_per_group: int = Field(4, ge=0, description="experience-free episodes per group (K); 4 in the paper")
    guided_share: Literal["fixed", "utility"] = Field(
        "fixed",
        description="fixed: the rest of the group is guided (the paper); utility: of a task on which guided episodes lately "
        "succeeded more often than free ones more, else fewer, at least 2 of each",
    )
    refill: RefillConfig = Field(default_factory=RefillConfig)
    shards: int = Field(2, ge=1, description="task runs that a round's rollout is split into")
    live_episodes: int = Field(128, ge=1, description="episodes in flight at once")
    sampling: SamplingConfig = Field(default_factory=SamplingConfig)
    episode_timeout_s: float = Field(600.0, gt=0, description="wall clock of one episode before it counts as failed")
    attempts: int = Field(3, ge=1, description="tries of an episode lost to infrastructure")
    max_failed_share: float = Field(0.1, ge=0, le=1, description="of a round's episodes; above it the run stops")

    @model_validator(mode="after")
    def _halves(self) -> "RolloutConfig":
        if self.free_per_group > self.group_size:
            raise ValueError(
                f"rollout.free_per_group = {self.free_per_group} is more than rollout.group_size = {self.group_size}. "
                "Remedy: half of the group (the paper), 0 (all guided) or the group size (plain GRPO)"
            )
        return self

    @property
    def guided_per_group(self) -> int:
        """Members of a group that are shown experience."""
        return self.group_size - self.free_per_group

    @property
    def most_groups(self) -> int:
        """Of one round, refilled as far as it may be."""
        return self.groups + self.refill.extra_groups

    @model_validator(mode="after")
    def _both_halves_can_change(self) -> "RolloutConfig":
        guided = self.guided_per_group
        if self.guided_share == "utility" and min(self.free_per_group, guided) < LEAST_HALF:
            raise ValueError(
                f"rollout.guided_share = 'utility': {self.free_per_group} free and {guided} guided episodes per group, and a "
                f"utility is measured by at least {LEAST_HALF} of each. Remedy: change rollout.free_per_group, or 'fixed'"
            )
        return self

    @model_validator(mode="after")
    def _a_subgroup_can_carry_signal(self) -> "RolloutConfig":
        if self.refill.extra_groups and max(self.free_per_group, self.guided_per_group) < LEAST_HALF:
            raise ValueError(
                f"rollout.refill.extra_groups = {self.refill.extra_groups}: subgroups of one episode never carry signal. "
                "Remedy: raise rollout.group_size, or 0"
            )
        return self
