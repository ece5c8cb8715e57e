"""The plan of a run: who lies on which GPUs, what does not fit, how long a round takes and what the run costs."""

from dataclasses import dataclass, field

from crl.config import Config
from crl.plan import memory, speed
from crl.plan.hardware import Gpu, Utilisation
from crl.plan.layout import Cluster, Place, fit, servers_by_load
from crl.plan.shapes import Shape, shape_in, shape_of
from crl.plan.work import Habits, Work, work_of

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
    warnings: tuple[str, ...] = field(default=())

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
    shapes = {role: shape_in(config, role) for role in ROLES}
    work = work_of(config, habits)
    alone = _generation_s(config, shapes, work, cluster.gpu, {"actor": 1, "extractor": 1}, use)
    engines = servers_by_load(config, cluster, alone)
    places, warnings = _places(config, shapes, work, cluster, engines)
    # The loop's time in environments is not in here: it depends on them alone.
    seconds = _generation_s(config, shapes, work, cluster.gpu, engines, use)
    seconds |= _learning_s(config, shapes, work, cluster, use)
    round_s = _round_s(config, seconds)
    run_hours = round_s * config.rounds.count / 3600
    gpu_hours = run_hours * cluster.total
    price = None if price_per_gpu_hour is None else gpu_hours * price_per_gpu_hour
    return Plan(shapes, work, places, seconds, round_s, run_hours, gpu_hours, price, warnings)


def _places(
    config: Config, shapes: dict[str, Shape], work: Work, cluster: Cluster, engines: dict[str, int]
) -> tuple[tuple[Place, ...], tuple[str, ...]]:
    learning = [_learner(config, role, shapes[role], work, cluster.trainers) for role in ROLES]
    head = [part for part in learning if part]
    if not config.servers.embedder:
        head.append(memory.embedding(_embedder_parameters(config)))
    engine = config.engine.declared
    generating = [
        _paged(config, role, shapes[role], cluster.gpu) if engine.paged else _slots(config, role, shapes[role])
        for role in ROLES
    ]
    head, served = (head, generating) if engine.remote else (head + generating, [])
    places = [Place("learners and the loop", cluster.trainers, tuple(head))]
    places += [Place(f"{part.role}'s servers", engines[part.role], (part,)) for part in served]
    warnings = fit(config, cluster, places, shapes, work)
    return tuple(places), warnings


def _learner(config: Config, role: str, shape: Shape, work: Work, gpus: int) -> memory.Part | None:
    learning, dtype = config.role(role).learn, config.role(role).model.dtype
    if learning.freeze:
        return None
    one = work.context if role == "actor" else work.distilled  # a longer sequence is a micro-batch of its own
    tokens = int(min(max(learning.optimizer.micro_batch_tokens, one), work.role(role).trained))
    whole, said = (
        (work.episodes * work.context, work.actor.generated)
        if role == "actor"
        else (work.extractor.trained, work.extractor.generated)
    )
    trainable = int(tokens * min(1.0, said / whole)) if whole else 0
    return memory.training(
        role, shape, tokens=tokens, trainable=trainable, dtype=dtype, gpus=gpus, reference=learning.kl_coef > 0,
        checkpointing=learning.optimizer.checkpointing,
    )  # fmt: skip


def _slots(config: Config, role: str, shape: Shape) -> memory.Part:
    model = config.role(role).model
    return memory.slots(
        role, shape, sessions=config.rollout.live_episodes, context=model.context_tokens, dtype=model.dtype
    )


def _paged(config: Config, role: str, shape: Shape, gpu: Gpu) -> memory.Part:
    engine = config.engine
    return memory.paged(
        role, shape, memory=gpu.memory, share=engine.memory_share, dtype=config.role(role).model.dtype,
        gpus=engine.tensor_parallel,
    )  # fmt: skip


def _embedder_parameters(config: Config) -> int:
    """0 for a class of the user's own, of which nothing is known."""
    name = config.models.embedder
    if ":" in name:
        return 0
    return MINILM_PARAMETERS if name == "minilm" else shape_of(name).parameters


def _generation_s(
    config: Config, shapes: dict[str, Shape], work: Work, gpu: Gpu, gpus: dict[str, int], use: Utilisation
) -> dict[str, float]:
    parallel = config.engine.tensor_parallel if config.engine.declared.paged else 1
    live = {"actor": min(config.rollout.live_episodes, work.episodes), "extractor": max(1.0, work.episodes / 2)}
    length = {"actor": work.context / 2, "extractor": work.distilled}  # half: contexts grow from nothing
    seconds = {}
    for role, phase in (("actor", "generate"), ("extractor", "distil")):
        shape, dtype = shapes[role], config.role(role).model.dtype
        seconds[phase] = speed.decode_s(
            shape, work.role(role).generated, length[role], live=live[role], gpu=gpu, gpus=gpus[role],
            tensor_parallel=min(parallel, gpus[role]), dtype=dtype, use=use,
        ) + speed.prefill_s(shape, work.role(role).prefilled, length[role], gpu, gpus[role], use)  # fmt: skip
    return seconds


def _learning_s(
    config: Config, shapes: dict[str, Shape], work: Work, cluster: Cluster, use: Utilisation
) -> dict[str, float]:
    lengths = {"actor": work.context, "extractor": work.distilled}
    seconds = {
        f"{role}_update": speed.training_s(
            shapes[role],
            work.role(role).trained,
            lengths[role],
            cluster.gpu,
            cluster.trainers,
            use,
            checkpointing=config.role(role).learn.optimizer.checkpointing,
        )
        for role in ROLES
    }
    updates = {"actor": float(work.actor.trained > 0), "extractor": work.extractor_updates}
    synced = sum(speed.sync_s(shapes[role], config.role(role).model.dtype, use) * updates[role] for role in ROLES)
    return seconds | {"weight_sync": synced}


def _round_s(config: Config, seconds: dict[str, float]) -> float:
    """Async with engines of their own: generation, distillation and learning overlap, and the longest decides."""
    if config.run.schedule == "lockstep" or not config.engine.declared.remote:
        return sum(seconds.values())
    learning = seconds["actor_update"] + seconds["extractor_update"]
    return max(seconds["generate"], seconds["distil"], learning) + seconds["weight_sync"]
