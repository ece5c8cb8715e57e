"""The plan of a run: who lies on which GPUs, what does not fit, how long a round takes and what the run costs."""

from dataclasses import dataclass

from crl.config import Config
from crl.plan import speed
from crl.plan.hardware import Utilisation
from crl.plan.layout import Cluster, Place, fit, servers_by_load
from crl.plan.memory import Part, paged, slots, training
from crl.plan.shapes import Shape, shape_in, shape_of
from crl.plan.work import Habits, Planned, Work, work_of

MINILM_PARAMETERS = 22_713_216
ROLES = ("actor", "extractor")


@dataclass(frozen=True)
class Plan:
    shapes: dict[str, Shape]
    work: Work
    places: tuple[Place, ...]
    seconds: dict[str, float]  # by phase, as if nothing overlapped
    round_s: float
    run_hours: float
    gpu_hours: float
    price: float | None  # of the run, in the currency of the price per GPU and hour
    warnings: tuple[str, ...]

    @property
    def tokens_per_round(self) -> dict[str, float]:
        work = self.work
        return {
            "generated": work.actor.generated + work.extractor.generated,
            "trained": work.actor.trained + work.extractor.trained,
        }


def make_plan(
    config: Config, cluster: Cluster, *, habits: Habits | None = None, use: Utilisation | None = None,
    price_per_gpu_hour: float | None = None,
) -> Plan:  # fmt: skip
    """Everything that `crl plan` prints. Raises ConfigError for a model whose shape is unknown."""
    habits, use = habits or Habits(), use or Utilisation()
    work = work_of(config, habits)
    asked = {"actor": (work.actor, work.context), "extractor": (work.extractor, work.distilled)}
    models = {role: Planned(role, shape_in(config, role), config.role(role), *asked[role]) for role in ROLES}
    alone = _generation_s(config, cluster, models, work, dict.fromkeys(models, 1), use)
    engines = servers_by_load(config, cluster, alone)
    places = _places(config, cluster, models, engines)
    # The loop's time in environments is not in here: it depends on them alone.
    seconds = _generation_s(config, cluster, models, work, engines, use)
    seconds |= _learning_s(cluster, models, work, use)
    round_s = _round_s(config, seconds)
    run_hours = round_s * config.rounds.count / 3600
    gpu_hours = run_hours * cluster.total
    price = None if price_per_gpu_hour is None else gpu_hours * price_per_gpu_hour
    shapes = {role: model.shape for role, model in models.items()}
    warnings = fit(config, cluster, places, models, work)
    return Plan(shapes, work, places, seconds, round_s, run_hours, gpu_hours, price, warnings)


def _places(config: Config, cluster: Cluster, models: dict[str, Planned], engines: dict[str, int]) -> tuple[Place, ...]:
    shared = config.engine.declared.holds_model
    head = [_learner(model, cluster.trainers, shared) for model in models.values() if not model.config.learn.freeze]
    if not config.servers.embedder:  # its batches of 32 short texts are lost in the reserve
        head.append(Part("embedder", "embed", 1, {"weights": 4 * _embedder_parameters(config)}))
    generating = [_engine(config, cluster, model) for model in models.values()]
    head, served = (head, generating) if config.engine.declared.remote else (head + generating, [])
    servers = (Place(f"{part.role}'s servers", engines[part.role], (part,)) for part in served)
    return Place("learners and the loop", cluster.trainers, tuple(head)), *servers


def _learner(model: Planned, gpus: int, shared: bool) -> Part:
    learning, trained = model.config.learn, model.work.trained
    longest = max(learning.optimizer.micro_batch_tokens, model.length)  # a longer sequence is a micro-batch of its own
    tokens = int(min(longest, trained))
    trainable = int(tokens * min(1.0, model.work.generated / trained)) if trained else 0
    return training(
        model.role, model.shape, tokens=tokens, trainable=trainable, dtype=model.dtype, gpus=gpus,
        reference=learning.kl_coef > 0, checkpointing=learning.optimizer.checkpointing, adapter=model.adapter, shared=shared,
    )  # fmt: skip


def _engine(config: Config, cluster: Cluster, model: Planned) -> Part:
    engine = config.engine
    if engine.declared.paged:
        share, gpus = engine.memory_share, engine.tensor_parallel
        return paged(model.role, model.shape, memory=cluster.gpu.memory, share=share, dtype=model.dtype, gpus=gpus)
    sessions, context = config.rollout.live_episodes, model.config.model.context_tokens
    return slots(model.role, model.shape, sessions=sessions, context=context, dtype=model.dtype, adapter=model.adapter)


def _embedder_parameters(config: Config) -> int:
    """0 for a class of the user's own, of which nothing is known."""
    name = config.models.embedder
    if ":" in name:
        return 0
    return MINILM_PARAMETERS if name == "minilm" else shape_of(name).parameters


def _generation_s(
    config: Config, cluster: Cluster, models: dict[str, Planned], work: Work, gpus: dict[str, int], use: Utilisation
) -> dict[str, float]:
    parallel = config.engine.tensor_parallel if config.engine.declared.paged else 1
    live = {"actor": min(config.rollout.live_episodes, work.episodes), "extractor": max(1.0, work.episodes / 2)}
    length = {"actor": work.context / 2, "extractor": work.distilled}  # half: contexts grow from nothing
    seconds = {}
    for role, phase in (("actor", "generate"), ("extractor", "distil")):
        model, gpu = models[role], cluster.gpu
        seconds[phase] = speed.decode_s(
            model.shape, model.work.generated, length[role], live=live[role], gpu=gpu, gpus=gpus[role],
            tensor_parallel=min(parallel, gpus[role]), dtype=model.dtype, use=use,
        ) + speed.prefill_s(model.shape, model.work.prefilled, length[role], gpu, gpus[role], use)  # fmt: skip
    return seconds


def _learning_s(cluster: Cluster, models: dict[str, Planned], work: Work, use: Utilisation) -> dict[str, float]:
    updates = {"actor": float(work.actor.trained > 0), "extractor": work.extractor_updates}
    seconds = {
        f"{role}_update": speed.training_s(
            model.shape, model.work.trained, model.length, cluster.gpu, cluster.trainers, use,
            forwards=model.forwards, adapter=model.adapter,
        )
        for role, model in models.items()
    }  # fmt: skip
    synced = sum(
        speed.sync_s(model.adapter or model.shape.parameters, model.dtype, use) * updates[role]
        for role, model in models.items()
    )
    return seconds | {"weight_sync": synced}


def _round_s(config: Config, seconds: dict[str, float]) -> float:
    """Async with engines of their own: generation, distillation and learning overlap, and the longest decides."""
    if config.run.schedule == "lockstep" or not config.engine.declared.remote:
        return sum(seconds.values())
    learning = seconds["actor_update"] + seconds["extractor_update"]
    return max(seconds["generate"], seconds["distil"], learning) + seconds["weight_sync"]
