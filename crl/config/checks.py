"""What learning and the other parameters demand of each other."""

from pydantic import model_validator

from crl.config.base import Section


class LearningChecks(Section):
    """Base of the class that holds all parameters; its fields are those of the whole."""

    @model_validator(mode="after")
    def _the_actor_learns_from_what_is_added(self) -> "LearningChecks":
        rollout, weight, frozen = self.rollout, self.learn.actor.internalise, self.learn.actor.freeze
        if (extra := rollout.refill.extra_groups) and frozen:
            raise ValueError(f"rollout.refill.extra_groups = {extra}: the actor is frozen. Remedy: extra_groups: 0")
        faults = {
            "the actor is frozen": frozen,
            "actor.inject = 'none' shows no experience": self.actor.inject == "none",
            "no episode is guided": rollout.free_per_group == rollout.group_size,
            "no free episode tells what success is worth": rollout.free_per_group == 0,
        }
        if weight and (found := [why for why, holds in faults.items() if holds]):
            raise ValueError(
                f"learn.actor.internalise = {weight}: {found[0]}. Remedy: learn.actor.internalise: 0, or an actor that learns, "
                "both halves (rollout.free_per_group) and an experience in the prompt (actor.inject)"
            )
        return self

    @model_validator(mode="after")
    def _the_second_clip_lies_beyond_the_first(self) -> "LearningChecks":
        for role in ("actor", "extractor"):
            learning = getattr(self.learn, role)
            if learning.dual_clip is None:
                continue
            if learning.objective == "cispo":
                raise ValueError(
                    f"learn.{role}.dual_clip = {learning.dual_clip}: cispo bounds every ratio by clip_high. Remedy: null, or "
                    f"learn.{role}.objective: grpo"
                )
            if learning.dual_clip <= 1 + learning.clip_high:
                raise ValueError(
                    f"learn.{role}.dual_clip = {learning.dual_clip}: not above 1 + learn.{role}.clip_high. Remedy: raise it, say 3"
                )
        return self

    @model_validator(mode="after")
    def _workers_on_nodes_have_a_cluster(self) -> "LearningChecks":
        for role in ("actor", "extractor"):
            learning = getattr(self.learn, role)
            if learning.placed == "ray" and self.run.task_runner != "ray":
                raise ValueError(
                    f"learn.{role}.placed = 'ray': run.task_runner = {self.run.task_runner!r} knows no cluster. Remedy: "
                    f"run.task_runner: ray, or learn.{role}.placed: here"
                )
            if learning.placed == "ray" and not learning.workers:
                raise ValueError(
                    f"learn.{role}.placed = 'ray': learn.{role}.workers = null, so it learns in the run's process. Remedy: "
                    f"learn.{role}.workers: 1 or more, or learn.{role}.placed: here"
                )
        return self

    @model_validator(mode="after")
    def _both_models_get_their_turn(self) -> "LearningChecks":
        rounds, alone = self.rounds, self.rounds.extractor_head_start
        if alone and self.learn.extractor.freeze:
            raise ValueError(
                f"rounds.extractor_head_start = {alone}: the extractor is frozen. Remedy: 0, or learn.extractor.freeze: false"
            )
        if alone and not self.learn.actor.freeze and rounds.bank_warmup + alone >= rounds.count:
            raise ValueError(
                f"rounds.extractor_head_start = {alone}: with rounds.bank_warmup = {rounds.bank_warmup} no round of "
                f"rounds.count = {rounds.count} is left for the actor. Remedy: lower it, or learn.actor.freeze: true"
            )
        return self

    @model_validator(mode="after")
    def _legal_replies_can_be_had(self) -> "LearningChecks":
        """Families that cannot list their actions are found when a run opens (`crl.actor.legal`)."""
        if self.actor.replies == "legal" and not self.engine.declared.constrains:
            raise ValueError(
                f"actor.replies = 'legal': engine.kind = {self.engine.kind!r} answers freely. Remedy: engine.kind: transformers, "
                "or actor.replies: free"
            )
        if self.actor.replies == "legal" and self.actor.ask.enabled:
            raise ValueError(
                "actor.replies = 'legal': no legal action is a question, and actor.ask.enabled offers the actor to ask. Remedy: "
                "actor.ask.enabled: false, or actor.replies: free"
            )
        return self

    @model_validator(mode="after")
    def _thoughts_can_be_told(self) -> "LearningChecks":
        """Named models whose marks are not known are found when an episode begins (`crl.replies.thoughts`)."""
        thoughtless = {
            "actor.replies = 'legal'": self.actor.replies == "legal",
            "models.actor.source = 'scratch'": self.models.actor.source == "scratch",
        }
        if self.actor.thoughts == "drop" and (found := [why for why, holds in thoughtless.items() if holds]):
            raise ValueError(f"actor.thoughts = 'drop': with {found[0]} there are none. Remedy: actor.thoughts: keep")
        return self

    @model_validator(mode="after")
    def _a_product_over_an_episode_is_of_one_context(self) -> "LearningChecks":
        """Contexts of one episode may lie in several micro-batches, which nobody multiplies up."""
        if self.actor.thoughts == "drop" and self.learn.actor.correction.level == "sequence":
            raise ValueError(
                "learn.actor.correction.level = 'sequence': with actor.thoughts = 'drop' an episode has several contexts. "
                "Remedy: level: token"
            )
        return self

    @model_validator(mode="after")
    def _the_engine_takes_what_learns(self) -> "LearningChecks":
        for role in ("actor", "extractor"):
            lora = getattr(self.learn, role).adapter
            if lora and not self.engine.declared.adapters:
                raise ValueError(
                    f"learn.{role}.lora.rank = {lora.rank}: engine.kind = {self.engine.kind!r} takes whole weights alone. Remedy: "
                    f"learn.{role}.lora.rank: 0, or engine.kind: transformers, vllm or server"
                )
        return self
