"""The processes that one trainer runs in: what they share, and how.

Weights, gradients and optimiser are sharded over them by FSDP2: each layer is a unit that is gathered when it is needed, and
what stands outside the layers (embedding and head, which may be one parameter) is the last unit. Gradients are reduced after
each micro-batch, so that no worker ever holds a whole model's.
"""

import os
import warnings
from dataclasses import dataclass, field
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from transformers.modeling_layers import GradientCheckpointingLayer

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

    def shard(self, scorer: nn.Module, dtype: torch.dtype) -> None:
        """Leave this worker its share of the parameters, in place; `dtype` is that of the arithmetic.

        On GPUs they are gathered in `dtype`, and gradients are reduced in float32. On CPUs they are gathered as they are.
        """
        if self.count == 1:
            return
        warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")  # which nobody writes into
        device = next(scorer.parameters()).device.type
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


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A sharded tensor gathered, for which every worker must call it; any other as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
