"""Replacing a model's weights in place."""

import torch
from transformers import PreTrainedModel

from crl.errors import EngineError


@torch.no_grad()
def copy_weights(model: PreTrainedModel, state: dict[str, torch.Tensor]) -> None:
    """All or nothing: names and shapes are compared before the first copy. A tied weight may come once."""
    own = model.state_dict()
    given = {own[name].data_ptr() for name in state if name in own}
    missing = [name for name, tensor in own.items() if name not in state and tensor.data_ptr() not in given]
    unknown = [name for name in state if name not in own]
    reshaped = [name for name in state if name in own and own[name].shape != state[name].shape]
    if missing or unknown or reshaped:
        raise EngineError(
            f"weights do not fit {type(model).__name__}: missing {missing[:3]}, unknown {unknown[:3]}, "
            f"other shape {reshaped[:3]}. Remedy: pass the whole state_dict of the same architecture"
        )
    for name, tensor in state.items():
        own[name].copy_(tensor)
