"""A trainer's whole state as named tensors and counters: safetensors and JSON on disk, never pickle.

Of a model with an adapter the state is the adapter's, and names the base that it belongs to.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from crl.errors import DataError
from crl.learn.workers import whole
from crl.models.adapter import (
    ADAPTER,
    Base,
    adapter_tensors,
    has_adapter,
    merged,
    moving_weights,
    read_base,
    settings_of,
    write_adapter,
)
from crl.models.resolve import save_model

WEIGHTS, OPTIMIZER, COUNTERS = "model.safetensors", "optimizer.safetensors", "trainer.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class UpdateCounts:
    """Of a trainer's whole life, resumed runs included."""

    updates: int = 0
    optimizer_steps: int = 0


@dataclass(frozen=True, slots=True)
class TrainerState:
    weights: dict[str, torch.Tensor]  # by parameter name; tied weights once
    optimizer: dict[str, torch.Tensor]  # "<slot>/<parameter name>", e.g. exp_avg/model.norm.weight
    counters: UpdateCounts
    base: Base | None = None  # of an adapter's state


def read_state(
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    counters: UpdateCounts,
    base: Base | None = None,
    *,
    here: bool = True,
) -> TrainerState:
    """A copy of everything on the CPU. `base`: that of the model's adapter.

    With sharded parameters every worker must call it, and only where it is wanted `here` is anything kept of what is gathered.
    """
    slots = {
        f"{slot}/{name}": value
        for name, parameter in _parameters(model).items()
        for slot, value in optimizer.state.get(parameter, {}).items()
    }
    return TrainerState(_copies(_tensors(model), here), _copies(slots, here), counters, base)


def full_weights(
    model: PreTrainedModel, dtype: torch.dtype, device: torch.device | str, *, here: bool = True
) -> dict[str, torch.Tensor]:
    """A copy of what learns, tied weights under each name; for engines, which load strictly. `here`: as in `read_state`."""
    return {name: tensor.to(device, dtype, copy=True) for name, tensor in _gathered(moving_weights(model)) if here}


@torch.no_grad()
def write_state(
    model: PreTrainedModel, optimizer: torch.optim.Optimizer, state: TrainerState, base: Base | None = None
) -> None:
    """Put `state` into the model and optimiser in place. Raises DataError when it is of another model, or of another base."""
    own, parameters = _tensors(model), _parameters(model)
    if base is not None:
        base.check(state.base)
    slots = [key.partition("/") for key in state.optimizer]
    wanted = {name: tuple(tensor.shape) for name, tensor in own.items()}
    given = {name: tuple(tensor.shape) for name, tensor in state.weights.items()}
    odd = {name for name, _ in wanted.items() ^ given.items()} | {name for _, _, name in slots} - parameters.keys()
    if odd:
        name = min(odd)
        raise DataError(
            f"trainer state does not fit the model: {name} has shape {given.get(name)} in the state, {wanted.get(name)} in the "
            "model. Remedy: load it into the model it is of"
        )
    for name, tensor in own.items():
        tensor.copy_(_like(state.weights[name], tensor))
    optimizer.state.clear()
    for slot, _, name in slots:
        parameter, value = parameters[name], state.optimizer[f"{slot}/{name}"]
        placed = value.clone() if value.dim() == 0 else _like(value, parameter)
        # Step counters of fused kernels live beside the parameter; on other devices the kernels refuse them.
        optimizer.state[parameter][slot] = placed.to(parameter.device)


def save_state(folder: Path, model: PreTrainedModel, state: TrainerState) -> None:
    """Write a folder that `from_pretrained` can read (an adapter's: PEFT's), plus the optimiser and the counters."""
    folder.mkdir(parents=True, exist_ok=True)
    if state.base is not None:
        write_adapter(folder, settings_of(model), state.weights, state.base)
    else:
        model.config.save_pretrained(folder)
        if model.generation_config is not None:
            model.generation_config.save_pretrained(folder)
        save_file(state.weights, folder / WEIGHTS, metadata={"format": "pt"})
    save_file(state.optimizer, folder / OPTIMIZER)
    (folder / COUNTERS).write_text(json.dumps({"format": FORMAT, **asdict(state.counters)}, indent=2) + "\n")


def put_out(model: PreTrainedModel, tokenizer: Any, folder: Path, base: Base | None) -> None:
    """Replace `folder` by the model in Hugging Face format. An adapter is merged into the weights, and stands in the subfolder
    `adapter` by itself, too.
    """
    if not has_adapter(model):
        save_model(model, tokenizer, folder)
        return
    adapter = partial(write_adapter, settings=settings_of(model), matrices=adapter_tensors(model), base=base)
    save_model(merged(model), tokenizer, folder, beside={"adapter": adapter})


def load_state(folder: Path) -> TrainerState:
    """Read what `save_state` wrote. Raises DataError when a file is missing or of another format."""
    base = read_base(folder)
    weights = WEIGHTS if base is None else ADAPTER
    missing = [name for name in (weights, OPTIMIZER, COUNTERS) if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder}: no {missing[0]}. Remedy: pass a folder that Trainer.save wrote")
    values = json.loads((folder / COUNTERS).read_text())
    if values.pop("format", None) != FORMAT:
        raise DataError(f"{folder / COUNTERS}: not of format {FORMAT}. Remedy: use the release that wrote it")
    return TrainerState(load_file(folder / weights), load_file(folder / OPTIMIZER), UpdateCounts(**values), base)


def _parameters(model: PreTrainedModel) -> dict[str, torch.nn.Parameter]:
    """What learns: the adapter's matrices, or all parameters (tied ones once)."""
    return adapter_tensors(model) or dict(model.named_parameters())


def _tensors(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """What learns, and the buffers that belong to whole weights."""
    if matrices := adapter_tensors(model):
        return matrices
    persistent = model.state_dict().keys()
    return _parameters(model) | {name: buffer for name, buffer in model.named_buffers() if name in persistent}


def _copies(tensors: dict[str, torch.Tensor], here: bool) -> dict[str, torch.Tensor]:
    return {name: tensor.to("cpu", copy=True).contiguous() for name, tensor in _gathered(tensors) if here}


def _gathered(tensors: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """One after the other, so that no two whole ones need be held at once."""
    return ((name, whole(tensor).detach()) for name, tensor in tensors.items())


def _like(value: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """`value` on the target's device, and in its shards where the target is sharded (FSDP2)."""
    placed = value.to(target.device, copy=True)
    return distribute_tensor(placed, target.device_mesh, target.placements) if isinstance(target, DTensor) else placed
