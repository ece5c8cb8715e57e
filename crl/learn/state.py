"""A trainer's whole state as named tensors and counters, in memory; `crl.learn.stored` has it on disk.

Of a model with an adapter the state is the adapter's, and names the base that it belongs to.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from crl.errors import DataError
from crl.learn.workers import whole
from crl.models.adapter import Base, adapter_tensors, has_adapter, merged, moving_weights, settings_of, write_adapter
from crl.models.resolve import save_model


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
    optimizer: torch.optim.Optimizer | None,
    counters: UpdateCounts,
    base: Base | None = None,
    *,
    here: bool = True,
    copy: bool = True,
) -> TrainerState:
    """Everything on the CPU, or all but the optimiser's slots; without `copy` what lies there already is not copied. `base`:
    that of the model's adapter.

    With sharded parameters every worker must call it, and only where it is wanted `here` is anything kept of what is gathered.
    """
    weights, slots = (
        {name: tensor.to("cpu", copy=copy).contiguous() for name, tensor in _gathered(tensors) if here}
        for tensors in (learned(model), slots_of(model, optimizer) if optimizer else {})
    )
    return TrainerState(weights, slots, counters, base)


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
    if base is not None:
        base.check(state.base)
    values = state.weights | state.optimizer
    shapes = {name: tuple(tensor.shape) for name, tensor in values.items()}
    for name, place in places(model, optimizer, shapes).items():
        place.copy_(_like(values[name], place))


def places(
    model: PreTrainedModel, optimizer: torch.optim.Optimizer, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, torch.Tensor]:
    """Where each tensor of a state with these shapes belongs: the model's own, and new slots of the optimiser, which are empty.

    Raises DataError, with the optimiser as it was, when the state is of another model.
    """
    own, parameters = learned(model), _parameters(model)
    slots = {name: name.partition("/") for name in shapes if "/" in name}
    wanted = {name: tuple(tensor.shape) for name, tensor in own.items()}
    given = {name: shape for name, shape in shapes.items() if name not in slots}
    odd = {name for name, _ in wanted.items() ^ given.items()}
    if odd := odd | {name for *_, name in slots.values()} - parameters.keys():
        name = min(odd)
        raise DataError(
            f"trainer state does not fit the model: {name} has shape {given.get(name)} in the state, {wanted.get(name)} in the "
            "model. Remedy: load it into the model it is of"
        )
    optimizer.state.clear()
    for name, (slot, _, parameter) in slots.items():
        # Step counters of fused kernels live beside the parameter; on other devices the kernels refuse them.
        beside = parameters[parameter]
        empty = torch.zeros_like if shapes[name] else lambda tensor: torch.zeros((), device=tensor.device)
        optimizer.state[beside][slot] = empty(beside)
    return {name: tensor.detach() for name, tensor in (own | slots_of(model, optimizer)).items()}


def put_out(model: PreTrainedModel, tokenizer: Any, folder: Path, base: Base | None) -> None:
    """Replace `folder` by the model in Hugging Face format. An adapter is merged into the weights, and stands in the subfolder
    `adapter` by itself, too.
    """
    if not has_adapter(model):
        save_model(model, tokenizer, folder)
        return
    adapter = partial(write_adapter, settings=settings_of(model), matrices=adapter_tensors(model), base=base)
    save_model(merged(model), tokenizer, folder, beside={"adapter": adapter})


def learned(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """What learns, in place, and the buffers that belong to whole weights."""
    if matrices := adapter_tensors(model):
        return matrices
    persistent = model.state_dict().keys()
    return _parameters(model) | {name: buffer for name, buffer in model.named_buffers() if name in persistent}


def slots_of(model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """What the optimiser keeps of each parameter, in place, as "<slot>/<parameter name>"."""
    return {
        f"{slot}/{name}": value
        for name, parameter in _parameters(model).items()
        for slot, value in optimizer.state.get(parameter, {}).items()
    }


def _parameters(model: PreTrainedModel) -> dict[str, torch.nn.Parameter]:
    """What learns: the adapter's matrices, or all parameters (tied ones once)."""
    return adapter_tensors(model) or dict(model.named_parameters())


def _gathered(tensors: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """One after the other, so that no two whole ones need be held at once."""
    return ((name, whole(tensor).detach()) for name, tensor in tensors.items())


def _like(value: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """`value` on the target's device, and in its shards where the target is sharded (FSDP2)."""
    placed = value.to(target.device, copy=True)
    return distribute_tensor(placed, target.device_mesh, target.placements) if isinstance(target, DTensor) else placed
