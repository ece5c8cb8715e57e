"""Which GPUs hold what, and whether it fits."""

from collections.abc import Sequence
from dataclasses import dataclass

from crl.config import Config
from crl.errors import ConfigError
from crl.plan.hardware import Gpu
from crl.plan.memory import GIB, RESERVE, Part, cache_bytes_per_token
from crl.plan.work import Planned, Work


@dataclass(frozen=True, slots=True)
class Cluster:
    gpu: Gpu
    gpus: int  # per node
    nodes: int = 1
    trainers: int = 1  # GPUs over which FSDP would shard the learners

    def __post_init__(self) -> None:
        if not 1 <= self.trainers <= self.total:
            raise ConfigError(f"--trainers {self.trainers}: of {self.total} GPUs. Remedy: at least 1, at most all")

    @property
    def total(self) -> int:
        return self.gpus * self.nodes


@dataclass(frozen=True, slots=True)
class Place:
    """GPUs that hold the same parts."""

    name: str
    gpus: int
    parts: tuple[Part, ...]

    @property
    def lasting(self) -> int:
        return sum(part.total - part.passing for part in self.parts)

    @property
    def bytes_per_gpu(self) -> int:
        """At the peak: everything that lasts, and the larger of the updates."""
        return self.lasting + max((part.passing for part in self.parts), default=0)


def servers_by_load(config: Config, cluster: Cluster, seconds_alone: dict[str, float]) -> dict[str, int]:
    """GPUs of each model's engines. Servers share what learners leave, by the time that each would take alone.

    Raises ConfigError when that is not enough for one engine of each.
    """
    if not config.engine.declared.remote:
        gpus = config.engine.tensor_parallel if config.engine.declared.paged else 1
        return {"actor": gpus, "extractor": gpus}
    parallel, left = config.engine.tensor_parallel, cluster.total - cluster.trainers
    engines = left // parallel
    if engines < 2:
        raise ConfigError(
            f"engine.kind = 'server': {left} GPUs beside the learners', and the actor's and the extractor's servers take "
            f"{parallel} each (engine.tensor_parallel). Remedy: --gpus {cluster.trainers + 2 * parallel} at least, or "
            "engine.kind: transformers"
        )
    actor, extractor = seconds_alone["generate"], seconds_alone["distil"]
    for_actor = min(engines - 1, max(1, round(engines * actor / (actor + extractor))))
    return {"actor": for_actor * parallel, "extractor": (engines - for_actor) * parallel}


def fit(
    config: Config, cluster: Cluster, places: Sequence[Place], models: dict[str, Planned], work: Work
) -> tuple[str, ...]:
    """What does not fit or stays idle, each with its remedy."""
    warnings = [line for place in places for line in _too_large(cluster, place, models)]
    warnings += [
        line for place in places for part in place.parts for line in _short_cache(config, place, part, models, work)
    ]
    for role, model in models.items():
        context, learning = model.config.model.context_tokens, model.config.learn
        limit = learning.optimizer.micro_batch_tokens
        if not learning.freeze and context > limit:
            warnings.append(
                f"a sequence that fills models.{role}.context_tokens = {context} is a micro-batch of its own, "
                f"beyond {limit} tokens: {model.activations(context) / GIB:.1f} GiB of activations"
            )
    used = sum(place.gpus for place in places)
    if used < cluster.total:
        warnings.append(f"{cluster.total - used} of {cluster.total} GPUs stay idle. Remedy: engine.kind: server")
    for role, model in models.items():
        learning, wanted = model.config.learn, cluster.trainers
        if not learning.freeze and (learning.workers or 1) != wanted:
            warnings.append(
                f"--trainers {wanted}: learn.{role}.workers = {learning.workers}, so this learner takes another number of GPUs. "
                f"Remedy: learn.{role}.workers={wanted}, on one machine or with placed: ray (docs/scale.md)"
            )
    return tuple(warnings)


def _too_large(cluster: Cluster, place: Place, models: dict[str, Planned]) -> list[str]:
    room = cluster.gpu.memory - RESERVE
    if place.bytes_per_gpu <= room:
        return []
    line = (
        f"{place.name}: {place.bytes_per_gpu / GIB:.1f} GiB per GPU, a {cluster.gpu.name} has {room / GIB:.1f} GiB beside "
        f"{RESERVE / GIB:.0f} GiB of reserve"
    )
    room -= place.lasting
    learners = [part for part in place.parts if part.purpose == "train"]
    fits = {part.role: _tokens_that_fit(room, part, models[part.role]) for part in learners}
    if fits and all(tokens >= models[role].length for role, tokens in fits.items()):
        limits = ", ".join(f"learn.{role}.optimizer.micro_batch_tokens: {n // 64 * 64}" for role, n in fits.items())
        return [f"{line}. Remedy, at most: {limits}"]
    if fits and min(fits.values()) > 0:
        short = ", ".join(
            f"{n} tokens of the {role} fit, its mean sequence has {models[role].length:.0f}" for role, n in fits.items()
        )
        remedies = "shorter episodes, larger GPUs or a smaller model"
        if not all(models[role].checkpointing for role in fits):
            remedies = "learn.*.optimizer.checkpointing: true, " + remedies
        return [f"{line}: {short}. Remedy: {remedies}"]
    return [f"{line}. Remedy: larger or more GPUs, a smaller model, or learn.extractor.freeze"]


def _tokens_that_fit(room: int, part: Part, model: Planned) -> int:
    """The micro-batch whose activations take what `room` leaves beside gradients, casts and logits."""
    beside = part.passing - part.bytes["activations"] - part.bytes.get("weights for engines", 0)
    return max(0, room - beside) // model.activations(1)


def _short_cache(config: Config, place: Place, part: Part, models: dict[str, Planned], work: Work) -> list[str]:
    """Of engines whose cache is what their share of memory leaves: whether the live sessions fit at their mean length."""
    if part.purpose != "generate" or not config.engine.declared.paged:
        return []
    if part.bytes["cache"] <= 0:
        return [
            f"{place.name}: the weights of {part.role} are larger than engine.memory_share = {config.engine.memory_share} of a "
            "GPU. Remedy: raise engine.tensor_parallel"
        ]
    model, rollout = models[part.role], config.rollout
    room = part.bytes["cache"] * place.gpus / (cache_bytes_per_token(model.shape, model.dtype) * model.length)
    guided = rollout.most_groups * rollout.guided_per_group
    wanted = min(rollout.live_episodes, work.episodes if part.role == "actor" else guided)
    if room < wanted:
        return [
            f"{place.name}: caches for {room:.0f} of {wanted} live sessions at {model.length:.0f} tokens; the rest waits or is "
            "computed again. Remedy: more servers, or lower rollout.live_episodes"
        ]
    return []
