"""What the parameters need of memory and disk, from `crl.plan`: to refuse a hopeless run before it starts."""

from crl.config import Config
from crl.errors import ConfigError
from crl.plan.memory import GIB, WIDTH, Part, slots, training
from crl.plan.shapes import Shape, shape_in

_PROCESS = 2.5 * GIB  # torch, transformers and the flow's tools in one process
_WORKER = 0.35 * GIB  # an environment process
_CHECKPOINT = 12  # bytes per parameter: float32 weights and AdamW's two moments
_RECORDS = 2 * GIB  # transcripts, metrics, traces
_ROLES = ("actor", "extractor")


def shape(config: Config, role: str) -> Shape | None:
    """The shape of the role's model. None: it cannot be told without loading it."""
    try:
        return shape_in(config, role)
    except ConfigError:
        return None


def model_bytes(config: Config) -> float | None:
    """Memory of the models that this process holds, at the peak: learners, and engines unless they are servers."""
    parts: list[Part] = []
    for role in _ROLES:
        found = shape(config, role)
        if found is None:
            return None
        parts += _parts(config, role, found)
    return sum(part.total - part.passing for part in parts) + max((part.passing for part in parts), default=0)


def memory_bytes(config: Config, *, models_elsewhere: bool = False) -> float | None:
    """Main memory of a run. `models_elsewhere`: they lie in a GPU's memory."""
    models = 0.0 if models_elsewhere else model_bytes(config)
    if models is None:
        return None
    containers = 0.0
    if any(entry.family == "swe" for entry in config.tasks.mix.values()):
        containers = config.envs.workers * config.envs.sandbox.memory_mb * 2**20
    return _PROCESS + config.envs.workers * _WORKER + containers + models


def disk_bytes(config: Config) -> float | None:
    """Disk of a run: kept checkpoints and one in the making, an exported model with DVC's copy, and the records."""
    total = float(_RECORDS)
    for role in _ROLES:
        model = config.role(role).model
        found = shape(config, role)
        if found is None:
            return None
        kept = 0 if config.role(role).learn.freeze else (config.rounds.keep_checkpoints + 1) * _CHECKPOINT
        total += found.parameters * (kept + 2 * WIDTH[model.dtype])
    return total


def _parts(config: Config, role: str, found: Shape) -> list[Part]:
    model, learning = config.role(role).model, config.role(role).learn
    parts = []
    if not learning.freeze:
        tokens, reference = learning.optimizer.micro_batch_tokens, bool(learning.kl_coef)
        parts.append(
            training(
                role, found, tokens=tokens, trainable=tokens, dtype=model.dtype, reference=reference,
                checkpointing=learning.optimizer.checkpointing,
            )
        )  # fmt: skip
    if config.engine.declared.remote:
        return parts
    if not config.engine.declared.paged:
        sessions = config.rollout.live_episodes
        parts.append(slots(role, found, sessions=sessions, context=model.context_tokens, dtype=model.dtype))
    else:
        sizes = {"weights": found.parameters * WIDTH[model.dtype], "cache": config.engine.cpu_cache_gib * GIB}
        parts.append(Part(role, "generate", 1, sizes))
    return parts
