"""A trainer's whole state as named tensors and counters: safetensors and JSON on disk, never pickle.

Of a model with an adapter the state is the adapter's, and names the base that it belongs to.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from crl.errors import DataError
from crl.models.adapter import (
    ADAPTER,
    Base,
    adapter_tensors,
    moving_weights,
    read_base,
    settings_of,
    write_adapter,
)

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
    model: PreTrainedModel, optimizer: torch.optim.Optimizer, counters: UpdateCounts, base: Base | None = None
) -> TrainerState:
    """A copy of everything on the CPU; with sharded parameters every worker must call it. `base`: that of the model's adapter."""
    slots = {
        f"{slot}/{name}": _whole(value)
        for name, parameter in _parameters(model).items()
        for slot, value in optimizer.state.get(parameter, {}).items()
    }
    return TrainerState({name: _whole(tensor) for name, tensor in _tensors(model).items()}, slots, counters, base)


def full_weights(model: PreTrainedModel, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """A copy of what learns where it is, tied weights under each name; for engines, which load strictly."""
    return {
        name: (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().to(dtype, copy=True)
        for name, tensor in moving_weights(model).items()
    }


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


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    gathered = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return gathered.detach().to("cpu", copy=True).contiguous()


def _like(value: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """`value` on the target's device, and in its shards where the target is sharded (FSDP2)."""
    placed = value.to(target.device, copy=True)
    return distribute_tensor(placed, target.device_mesh, target.placements) if isinstance(target, DTensor) else placed
