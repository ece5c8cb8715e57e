"""An adapter in a causal LM (LoRA, by peft): two thin matrices beside each of its layers, which learn in their place.

    add_adapter ─► the model itself, its weights frozen         twin ─► another one on the same memory, with its own adapter
                   adapter_off: the base, without a copy        merged ─► a plain model, W + alpha / rank * B A

A model's moving weights are what training changes and engines are given: the adapter's, or all of a model without one. They
bear the names of PEFT's files. peft is slow to import, so it is imported where an adapter is.
"""

import copy
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from crl.config.learn import ALL_LINEAR, LoraConfig
from crl.errors import ConfigError, DataError
from crl.files import read_json, write_json
from crl.models.resolve import BUILDING

ADAPTER, BASE = "adapter_model.safetensors", "base.json"  # beside PEFT's adapter_config.json
_MATRIX = re.compile(r"\.(lora_[AB])\.default\.")


@dataclass(frozen=True, slots=True)
class Base:
    """The model that an adapter belongs to."""

    source: str  # as models.<role>.source names it
    digest: str  # of its weights, as they were loaded

    def check(self, other: "Base | None") -> None:
        """Raises DataError unless `other`, of an adapter that is to be loaded, has the same weights."""
        if other is not None and other.digest != self.digest:
            raise DataError(
                f"the adapter belongs to another base: {other.source} (weights {other.digest[:12]}), not {self.source} (weights "
                f"{self.digest[:12]}). Remedy: load it beside the model that it was trained on"
            )


def add_adapter(model: PreTrainedModel, lora: LoraConfig, *, field: str, source: str, seed: int) -> None:
    """Freeze `model`, and give its target layers adapters in float32: A random by `seed`, B zero, so it says what it said before.

    Raises ConfigError, by the parameter `field`, for a target that is none of its linear layers.
    """
    from peft import LoraConfig as Settings
    from peft import inject_adapter_in_model

    settings = Settings(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=0.0, target_modules=_targets(model, lora, field), bias="none",
        task_type="CAUSAL_LM", base_model_name_or_path=source,
    )  # fmt: skip
    with BUILDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(settings, model)
    if settings.target_parameters:  # peft turns layers of experts into these, which can be merged in place alone
        raise ConfigError(
            f"{field}.targets = {list(lora.targets)}: takes in experts of {type(model).__name__}, which are one tensor of many. "
            "Remedy: layers beside them, such as [q_proj, k_proj, v_proj, o_proj]"
        )
    settings.target_modules = sorted(settings.target_modules)  # a set's order, and with it the file, would vary
    for matrix in adapter_tensors(model).values():
        matrix.data = matrix.data.float()  # whatever the weights are


def _targets(model: PreTrainedModel, lora: LoraConfig, field: str) -> str | list[str]:
    if lora.targets == (ALL_LINEAR,):
        return ALL_LINEAR
    head = model.get_output_embeddings()
    linear = [name for name, part in model.named_modules() if isinstance(part, nn.Linear | Conv1D) and part is not head]
    for target in lora.targets:
        chosen = [name for name, _ in model.named_modules() if f".{name}".endswith(f".{target}")]
        if not chosen or set(chosen) - set(linear):
            known = sorted({name.rpartition(".")[2] for name in linear})
            raise ConfigError(
                f"{field}.targets = {list(lora.targets)}: {target!r} names no linear layer in the blocks of "
                f"{type(model).__name__}. Remedy: {ALL_LINEAR}, or some of {', '.join(known)}"
            )
    return list(lora.targets)


def has_adapter(model: PreTrainedModel) -> bool:
    return hasattr(model, "peft_config")


def settings_of(model: PreTrainedModel) -> Any:
    """PEFT's settings of the adapter."""
    return model.peft_config["default"]


def adapter_tensors(model: PreTrainedModel) -> dict[str, nn.Parameter]:
    """The adapter's matrices in place, by their names in PEFT's files; empty for a model without one."""
    named = model.named_parameters() if has_adapter(model) else ()
    return {"base_model.model." + _MATRIX.sub(r".\1.", name): tensor for name, tensor in named if _MATRIX.search(name)}


def moving_weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """What training changes, in place: the adapter's matrices, or the whole state (tied weights under each of their names)."""
    return adapter_tensors(model) or model.state_dict()


def base_weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The state of a model without its adapter, by the names of a plain one, in place."""
    state = model.state_dict()
    return {name.replace(".base_layer.", "."): tensor for name, tensor in state.items() if not _MATRIX.search(name)}


@torch.no_grad()
def base_of(model: PreTrainedModel) -> Base | None:
    """Whose adapter the model has; None where it has none. Reads all weights once."""
    if not has_adapter(model):
        return None
    digest, own = hashlib.blake2b(digest_size=16), dict(model.named_parameters())
    for name in sorted(own):
        if not _MATRIX.search(name):
            tensor = own[name].detach().cpu().contiguous()
            digest.update(f"{name.replace('.base_layer.', '.')} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return Base(settings_of(model).base_model_name_or_path, digest.hexdigest())


@contextmanager
def adapter_off(model: PreTrainedModel) -> Iterator[None]:
    """Inside the block the model is its base."""
    layers = [layer for _, layer in _adapted(model)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def twin(model: PreTrainedModel, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """A model that says the same, on the same memory but for its adapter, which is a copy (`dtype`: of that number type)."""
    shared = {
        id(weight): nn.Parameter(weight.detach(), requires_grad=False)
        for weight in model.parameters()
        if not weight.requires_grad
    }
    other = copy.deepcopy(model, shared)
    for matrix in adapter_tensors(other).values():
        matrix.data = matrix.data.to(dtype or matrix.dtype)
    return other


def merged(model: PreTrainedModel) -> PreTrainedModel:
    """A plain model in float32 that says what `model` does with its adapter; `model` stays as it is.

    What no adapter stands beside is shared with it, where it is in float32.
    """
    plain = twin(model).float()
    for name, layer in list(_adapted(plain)):
        own = layer.get_base_layer()
        own.weight = nn.Parameter(torch.empty_like(own.weight))
        plain.set_submodule(name, own)
    del plain.peft_config
    merge_into(plain, model)
    return plain.requires_grad_(True)


@torch.no_grad()
def merge_into(plain: PreTrainedModel, model: PreTrainedModel) -> None:
    """Renew the weights of what `merged` made, from those of `model` and its adapter as it is now."""
    for name, layer in _adapted(model):
        weight, product = layer.get_base_layer().weight, layer.get_delta_weight("default")
        torch.add(weight.float(), product.float(), out=plain.get_submodule(name).weight)


def write_adapter(folder: Path, settings: Any, matrices: dict[str, torch.Tensor], base: Base | None = None) -> None:
    """A folder in PEFT's format, as vLLM and `PeftModel.from_pretrained` read it, and what it belongs to.

    `settings` are those of a model's `settings_of`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings.save_pretrained(str(folder))
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in matrices.items()}, folder / ADAPTER)
    if base is not None:
        write_base(folder, base)


def write_base(folder: Path, base: Base) -> None:
    """Beside an adapter's files: what it belongs to."""
    write_json(folder / BASE, asdict(base))


def read_base(folder: Path) -> Base | None:
    """What the adapter in a folder belongs to; None for a folder of whole weights."""
    return Base(**read_json(folder / BASE)) if (folder / BASE).is_file() else None


def _adapted(model: PreTrainedModel) -> Iterator[tuple[str, Any]]:
    """The layers that have an adapter, by name."""
    from peft.tuners.lora import LoraLayer

    return ((name, part) for name, part in model.named_modules() if isinstance(part, LoraLayer))
