"""What runs on a node of a learner's group: an actor around one worker. What it is told and answers, is `crl.learn.worker`'s."""

import ipaddress
import logging
import os
import pickle
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import ray
import torch

from crl.errors import ConfigError
from crl.learn.worker import Opening, Worker, told

log = logging.getLogger(__name__)

Answer = tuple[Any, Exception | None]
Packed = tuple[np.ndarray, str, tuple[int, ...]]  # bytes, name of the number type, shape


class NodeWorker:
    """The thread that answers `alive` is not the one that computes."""

    def __init__(self, root: str) -> None:
        self._root, self._address = root, ray.util.get_node_ip_address()

    def meeting(self) -> str:
        """An address of this node where the workers may meet."""
        with socket.socket() as free:
            free.bind((self._address, 0))
            return f"tcp://{self._address}:{free.getsockname()[1]}"

    def open(self, opening: Opening, meeting: str) -> Answer:
        """Load the model and keep this worker's share; the answer says where it is."""
        self._opening = opening.at(meeting)

        def open_it() -> tuple[str, int]:
            self._enter()
            self._worker = Worker(self._opening)
            return self._address, os.getpid()

        return self._answer(open_it)

    def ask(self, message: np.ndarray) -> Answer:
        """`message` is a pickle that lies in Ray's store."""
        method, arguments = pickle.loads(message)
        return self._answer(lambda: getattr(self._worker, method)(*arguments))

    def weights(self) -> Answer:
        """As arrays, which are not copied out of Ray's store."""
        return self._answer(lambda: {name: packed(tensor) for name, tensor in self._worker.weights().items()})

    @ray.method(concurrency_group="pulse")
    def alive(self) -> None:
        """Answered as long as the interpreter runs threads."""

    def _enter(self) -> None:
        """Paths in parameters are relative to the checkout; workers are reached where the cluster reaches their node."""
        if not Path(self._root).is_dir():
            raise ConfigError(
                f"{self._root}: not on the node {self._address}. Remedy: the checkout under the same path on every node "
                "(a shared file system)"
            )
        os.chdir(self._root)
        for library in ("GLOO", "NCCL"):
            os.environ.setdefault(f"{library}_SOCKET_IFNAME", interface_of(self._address))

    def _answer(self, work: Callable[[], Any]) -> Answer:
        try:
            return work(), None
        except Exception as error:
            log.exception("worker %d of the %s", self._opening.workers.rank + 1, self._opening.role)
            return None, told(self._opening, error)


def interface_of(address: str) -> str:
    """The network interface that has this address; all of 127.0.0.0/8 is the first loopback's. Raises ConfigError."""
    wanted = "127.0.0.1" if ipaddress.ip_address(address).is_loopback else address
    for name, its in psutil.net_if_addrs().items():
        if any(each.address == wanted for each in its):
            return name
    raise ConfigError(
        f"{address}: the cluster's address of this node, which none of its interfaces has. Remedy: GLOO_SOCKET_IFNAME and "
        "NCCL_SOCKET_IFNAME in the node's environment"
    )


def packed(tensor: torch.Tensor) -> Packed:
    """Its bytes, since bfloat16 is no number type of NumPy's."""
    return tensor.reshape(-1).view(torch.uint8).numpy(), str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)


def unpacked(weights: Mapping[str, Packed]) -> dict[str, torch.Tensor]:
    """Tensors on the arrays' own memory, which is only read."""
    return {
        name: torch.frombuffer(array, dtype=getattr(torch, dtype)).reshape(shape)
        for name, (array, dtype, shape) in weights.items()
    }
