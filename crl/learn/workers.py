"""The processes that one trainer runs in: what they share, and how.

Weights, gradients and optimiser are sharded over them by FSDP2: each layer is a unit that is gathered when it is needed, and
what stands outside the layers (embedding and head, which may be one parameter) is the last unit. Gradients are reduced after
each micro-batch, so that no worker ever holds a whole model's.
"""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers.modeling_layers import GradientCheckpointingLayer

T = TypeVar("T")
PEER_WAIT_S = 600.0  # for the others in a collective; they meet in each layer, and never while one writes a file


@dataclass(frozen=True, slots=True)
class Workers:
    """One of `count` processes. All call the same methods of their trainers, in the same order, with the same batch."""

    rank: int = 0
    count: int = 1
    peer_wait_s: float = field(default_factory=lambda: PEER_WAIT_S)

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes, and that holds what is gathered."""
        return self.rank == 0

    def meet(self, at: str, device: str) -> None:
        """Find the others at a file:// or tcp:// address which nobody has used before."""
        if device == "cuda":
            torch.cuda.set_device(self.rank % torch.cuda.device_count())  # Ray shows each the one that it is to use
        if self.count > 1:
            # Whatever the host's name means, workers of one machine are reached from nowhere else. Those on nodes have set it.
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
            distributed.init_process_group(
                "nccl" if device == "cuda" else "gloo", init_method=at, rank=self.rank,
                world_size=self.count, timeout=timedelta(seconds=self.peer_wait_s),
            )  # fmt: skip

    def told(self, finds: Callable[[], T]) -> T:
        """What the leading worker alone finds, for all; it can be pickled."""
        box = [finds() if self.leads else None]
        if self.count == 1:
            return box[0]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def shard(self, scorer: nn.Module, dtype: torch.dtype, device: torch.device) -> None:
        """Leave this worker its share of the leading one's parameters, on `device`, in place; `dtype` is that of the arithmetic.

        The leading worker has them in main memory, whole; of the others' only the modules count (`crl.models.resolve.outline`),
        and no more of the parameters than a layer at a time is ever on a GPU, or in their memory. On GPUs they are gathered in
        `dtype`, and gradients are reduced in float32. On CPUs they are gathered as they are.
        """
        if self.count == 1:
            return
        whole = self._alike(scorer)
        self._wrap(scorer, dtype, device.type)
        for name, share in scorer.named_parameters():
            value = (whole[name] if self.leads else torch.empty(share.shape, dtype=share.dtype)).to(device)
            cut = distribute_tensor(value, share.device_mesh, share.placements)  # the leading one's
            share.detach().copy_(cut)

    def _alike(self, scorer: nn.Module) -> dict[str, torch.Tensor]:
        """Give the others parameters like the leading worker's, which it returns by name, and its buffers.

        They are in memory that nobody has written and that is read at most where a share is cut from it: the system gives none.
        """
        names: dict[nn.Parameter, list[str]] = {}
        for name, parameter in scorer.named_parameters(remove_duplicate=False):
            names.setdefault(parameter, []).append(name)
        forms = [(named, tuple(own.shape), own.dtype, own.requires_grad) for own, named in names.items()]
        forms, buffers = self.told(lambda: (forms, dict(scorer.named_buffers())))
        if not self.leads:
            for named, shape, dtype, learns in forms:
                parameter = nn.Parameter(torch.empty(shape, dtype=dtype), requires_grad=learns)
                for name in named:  # several of one that is tied
                    _put(scorer, name, parameter)
            for name, buffer in buffers.items():
                _put(scorer, name, buffer)
        return {name: parameter.detach() for name, parameter in scorer.named_parameters()}

    def _wrap(self, scorer: nn.Module, dtype: torch.dtype, device: str) -> None:
        warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")  # which nobody writes into
        mesh = distributed.init_device_mesh(device, (self.count,))
        gathered = {"param_dtype": dtype, "reduce_dtype": torch.float32} if device == "cuda" else {}
        for layer in (part for part in scorer.modules() if isinstance(part, GradientCheckpointingLayer)):
            fully_shard(layer, mesh=mesh, mp_policy=MixedPrecisionPolicy(**gathered))
        # Inputs of the whole stay as they are: temperatures would be rounded. It is resharded after each pass, since not each
        # is followed by a backward pass, and a step would leave gathered weights behind.
        root = MixedPrecisionPolicy(**gathered, cast_forward_inputs=False)
        fully_shard(scorer, mesh=mesh, mp_policy=root, reshard_after_forward=True)

    def gathered(self, own: torch.Tensor) -> torch.Tensor:
        """Everybody's tensors of one shape [...], stacked: [count, ...]."""
        if self.count == 1:
            return own[None]
        everybodys = [torch.empty_like(own) for _ in range(self.count)]
        distributed.all_gather(everybodys, own)
        return torch.stack(everybodys)

    def share_of(self, tensor: torch.Tensor) -> tuple[torch.Tensor | None, int]:
        """What of a tensor this worker is the one to keep, and its first row; None: nothing of it."""
        if not isinstance(tensor, DTensor):  # everybody has all of it
            return (tensor if self.leads else None), 0
        own, rows = tensor.to_local(), -(-tensor.shape[0] // self.count)  # as torch.chunk cuts, which FSDP2 shards by
        return (own if len(own) else None), self.rank * rows


ALONE = Workers()


def _put(module: nn.Module, name: str, value: torch.Tensor) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent), leaf, value)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A sharded tensor gathered, for which every worker must call it; any other as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
