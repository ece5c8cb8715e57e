"""An adapter in the random model of conftest.py, and versions of its weights."""

from dataclasses import replace

import torch

from crl.config.learn import LoraConfig
from crl.engine.kinds import Opening
from crl.models.adapter import adapter_tensors, add_adapter, merged, twin

LORA = LoraConfig(rank=4)


def adapted(opening: Opening) -> Opening:
    """The opening of an engine that is given an adapter's weights."""
    model = twin(opening.model)
    add_adapter(model, LORA, field="learn.actor.lora", source=opening.source, seed=0)
    return replace(opening, model=model, lora=LORA)


def version_of(opening: Opening, seed: int) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Some weights of the adapter, and the state of a plain model that says the same."""
    model, generator = twin(opening.model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for matrix in adapter_tensors(model).values():
            matrix.copy_(torch.randn(matrix.shape, generator=generator) * 0.1)
    weights = {name: matrix.detach().clone() for name, matrix in adapter_tensors(model).items()}
    return weights, merged(model).state_dict()
