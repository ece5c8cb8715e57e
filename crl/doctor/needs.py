"""What the parameters need of memory and disk, from `crl.plan`: to refuse a hopeless run before it starts.

All raise ConfigError where the size of a model cannot be told without loading it.
"""

from collections.abc import Callable

from crl.config import Config, Role
from crl.doctor.finding import Finding
from crl.errors import ConfigError
from crl.plan.memory import GIB, WIDTH, Part, slots, training
from crl.plan.plan import ROLES
from crl.plan.shapes import Shape, shape_in

_PROCESS = 2.5 * GIB  # torch, transformers and the flow's tools in one process
_WORKER = 0.35 * GIB  # an environment process
_RECORDS = 2 * GIB  # transcripts, metrics, traces


def enough(seen: str, free: float, needed: Callable[[], float], remedy: str) -> Finding:
    """Whether so many free bytes are enough."""
    try:
        wanted = needed()
    except ConfigError:
        remedy = "name a model whose size its folder or its name tells, or see to it yourself (crl plan)"
        return Finding("warn", f"{seen}; the size of a model cannot be told", remedy=remedy)
    told = f"about {wanted / GIB:.1f} GiB"
    return Finding("ok", seen, told) if free >= wanted else Finding("fail", seen, told, remedy)


def model_bytes(config: Config, *, all_workers: bool = False) -> float:
    """Memory of the models on one device, at the peak: learners, and engines unless they are servers.

    `all_workers`: of learners in processes of their own count all, which on CPUs share one memory.
    """
    parts = [(part, part.gpus if all_workers else 1) for role in ROLES for part in _parts(config, role)]
    lasting = sum((part.total - part.passing) * count for part, count in parts)
    return lasting + max((part.passing * count for part, count in parts), default=0)


def memory_bytes(config: Config, *, models_elsewhere: bool = False) -> float:
    """Main memory of a run. `models_elsewhere`: they lie in a GPU's memory."""
    models = 0.0 if models_elsewhere else model_bytes(config, all_workers=True)
    containers = 0.0
    if config.tasks.in_containers:
        containers = config.envs.workers * config.envs.sandbox.memory_mb * 2**20
    return _PROCESS + config.envs.workers * _WORKER + containers + models


def disk_bytes(config: Config) -> float:
    """Disk of a run: kept checkpoints and one in the making, an exported model with DVC's copy, and the records."""
    total = float(_RECORDS)
    for role in ROLES:
        model, learning = config.role(role).model, config.role(role).learn
        shape = shape_in(config, role)
        kept = 0 if learning.freeze else config.rounds.keep_checkpoints + 1
        total += kept * checkpoint_bytes(config, role, shape) + shape.parameters * 2 * WIDTH[model.dtype]
    return total


def checkpoint_bytes(config: Config, role: Role, shape: Shape) -> int:
    """Of a learner: float32 weights and AdamW's two moments of what learns, the adapter where there is one."""
    adapter = config.role(role).learn.adapter
    return 12 * (shape.adapter_parameters(adapter) if adapter else shape.parameters)


def learner_part(config: Config, role: Role, shape: Shape, workers: int) -> Part:
    """What one of so many workers takes; each updates with micro-batches of its own."""
    model, learning = config.role(role).model, config.role(role).learn
    tokens, reference = learning.optimizer.micro_batch_tokens, bool(learning.kl_coef)
    adapter = shape.adapter_parameters(learning.adapter) if learning.adapter else 0
    shared = config.engine.declared.holds_model and not learning.workers
    return training(
        role, shape, tokens=tokens, trainable=tokens, dtype=model.dtype, reference=reference, gpus=workers,
        checkpointing=learning.optimizer.checkpointing, adapter=adapter, shared=shared,
    )  # fmt: skip


def _parts(config: Config, role: Role) -> list[Part]:
    model, learning, shape = config.role(role).model, config.role(role).learn, shape_in(config, role)
    adapter = shape.adapter_parameters(learning.adapter) if learning.adapter else 0
    elsewhere = learning.freeze or learning.placed != "here"
    parts = [] if elsewhere else [learner_part(config, role, shape, learning.workers or 1)]
    if config.engine.declared.remote:
        return parts
    if not config.engine.declared.paged:
        sessions = config.rollout.live_episodes
        context = model.context_tokens
        parts.append(slots(role, shape, sessions=sessions, context=context, dtype=model.dtype, adapter=adapter))
    else:
        sizes = {"weights": shape.parameters * WIDTH[model.dtype], "cache": config.engine.cpu_cache_gib * GIB}
        parts.append(Part(role, "generate", 1, sizes))
    return parts
