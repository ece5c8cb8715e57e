"""Replacing a model's weights in place."""

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

from crl.errors import EngineError
from crl.models.adapter import moving_weights

Shapes = Mapping[str, torch.Size]


@torch.no_grad()
def copy_weights(model: PreTrainedModel, state: dict[str, torch.Tensor]) -> None:
    """All or nothing: names and shapes are compared before the first copy. A tied weight may come once.

    Of a model with an adapter the state is the adapter's.
    """
    own = moving_weights(model)
    given = {own[name].data_ptr() for name in state if name in own}
    optional = {name for name, tensor in own.items() if tensor.data_ptr() in given}
    refuse_misfit({name: tensor.shape for name, tensor in own.items()}, state, type(model).__name__, optional)
    for name, tensor in state.items():
        own[name].copy_(tensor)


def write_weights(state: Mapping[str, torch.Tensor], folder: Path) -> None:
    """As a file that vLLM reloads, from where they are: no second copy of the model is made.

    Tied weights are written out, from a copy: safetensors takes no shared memory.
    """
    tensors, known = dict[str, torch.Tensor](), set[int]()
    for name, tensor in state.items():
        own = tensor.detach().cpu().contiguous()
        place = own.untyped_storage().data_ptr()
        tensors[name] = own.clone() if place in known else own
        known.add(place)
    save_file(tensors, folder / "model.safetensors")


def refuse_misfit(shapes: Shapes, state: Mapping[str, torch.Tensor], name: str, optional: Collection[str] = ()) -> None:
    """Raises EngineError unless `state` holds every tensor of model `name` but the optional ones, and no other."""
    missing = [key for key in shapes if key not in state and key not in optional]
    unknown = [key for key in state if key not in shapes]
    reshaped = [key for key in state if key in shapes and shapes[key] != state[key].shape]
    if missing or unknown or reshaped:
        raise EngineError(
            f"weights do not fit {name}: missing {missing[:3]}, unknown {unknown[:3]}, "
            f"other shape {reshaped[:3]}. Remedy: pass the whole state_dict of the same architecture, or of the same adapter"
        )
