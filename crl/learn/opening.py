"""A role's trainer as the parameters have it, in whichever process."""

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crl.config import Config
from crl.config.choices import OBJECTIVES
from crl.learn.trainer import Trainer
from crl.learn.workers import ALONE, Workers
from crl.models.adapter import add_adapter
from crl.models.resolve import load_model, outline
from crl.seeding import derive_seed


def load_learning(
    config: Config, role: str, source: str, device: str | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """What learns, as it is before its first update: the model, with an adapter where that learns in its place."""
    model, tokenizer = load_model(source, config.role(role).model.dtype, device or config.run.device)
    return _with_adapter(config, role, model), tokenizer


def load_share(config: Config, role: str, source: str, workers: Workers) -> PreTrainedModel:
    """What one of several workers needs of what learns: on the leading one all of it, in main memory, to be cut."""
    return _with_adapter(config, role, _for_share(config, role, source, workers))


def _for_share(config: Config, role: str, source: str, workers: Workers) -> PreTrainedModel:
    dtype = config.role(role).model.dtype
    if workers.count == 1:
        return load_model(source, dtype, config.run.device)[0]
    return load_model(source, dtype, "cpu")[0] if workers.leads else outline(source, dtype)


def _with_adapter(config: Config, role: str, model: PreTrainedModel) -> PreTrainedModel:
    settings, lora = config.role(role).model, config.role(role).learn.adapter
    if lora is not None:
        seed = derive_seed(config.run.seed, "adapter", role)
        add_adapter(model, lora, field=f"learn.{role}.lora", source=settings.source, seed=seed)
    return model


def open_trainer(config: Config, role: str, model: PreTrainedModel, source: str, workers: Workers = ALONE) -> Trainer:
    """Takes over `model`, which `load_learning` or `load_share` gave. A KL term's reference is loaded beside it, unless it has an
    adapter."""
    settings, learning = config.role(role).model, config.role(role).learn
    objective = OBJECTIVES.load(learning.objective, f"learn.{role}.objective").of(learning)
    apart = objective.kl_coef and learning.adapter is None
    reference = _for_share(config, role, source, workers) if apart else None
    return Trainer(
        model, learning.optimizer, objective, reference_model=reference, device=config.run.device, dtype=settings.dtype,
        correction=learning.correction, max_mismatch=learning.max_mismatch, workers=workers,
    )  # fmt: skip
