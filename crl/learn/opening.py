"""A role's trainer as the parameters have it, in whichever process."""

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crl.config import Config
from crl.config.choices import OBJECTIVES
from crl.learn.trainer import Trainer
from crl.learn.workers import ALONE, Workers
from crl.models.adapter import add_adapter
from crl.models.resolve import load_model
from crl.seeding import derive_seed


def load_learning(
    config: Config, role: str, source: str, device: str | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """What learns, as it is before its first update: the model, with an adapter where that learns in its place."""
    settings, lora = config.role(role).model, config.role(role).learn.adapter
    model, tokenizer = load_model(source, settings.dtype, device or config.run.device)
    if lora is not None:
        seed = derive_seed(config.run.seed, "adapter", role)
        add_adapter(model, lora, field=f"learn.{role}.lora", source=settings.source, seed=seed)
    return model, tokenizer


def open_trainer(config: Config, role: str, model: PreTrainedModel, source: str, workers: Workers = ALONE) -> Trainer:
    """Takes over `model`, which `load_learning` gave; a KL term's reference is loaded beside a model without an adapter."""
    settings, learning = config.role(role).model, config.role(role).learn
    objective = OBJECTIVES.load(learning.objective, f"learn.{role}.objective").of(learning)
    apart = objective.kl_coef and learning.adapter is None
    reference = load_model(source, settings.dtype, config.run.device)[0] if apart else None
    return Trainer(
        model, learning.optimizer, objective, reference_model=reference, device=config.run.device, dtype=settings.dtype,
        correction=learning.correction, max_mismatch=learning.max_mismatch, workers=workers,
    )  # fmt: skip
