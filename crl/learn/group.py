"""A trainer in processes of its own, seen from the head: `learn.<role>.workers`.

    head ── batch, once pickled ──► worker 0 .. n-1 ── metrics ──► head
                                    worker 0 ── weights, a file that is mapped ──► the head's engine

The head holds no copy of what learns: neither weights nor optimiser, nor what is kept to go back to, which lies in a folder.
"""

import shutil
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from subprocess import Popen
from typing import Any, NoReturn

import torch
from safetensors.torch import load_file

from crl.concurrency import end_child, start_child
from crl.config import Config
from crl.errors import ConfigError, CrlError, RunStopped
from crl.learn.sequences import WeightedSequence
from crl.learn.worker import Opening
from crl.learn.workers import Workers
from crl.models.resolve import resolve_device

_CLOSE_WAIT_S = 5.0
_DEATH_WAIT_S = 1.0  # an error of a worker may come of another's death, which is then the one to be told


class LearnerGroup:
    """`crl.learn.protocol.Training` by `learn.<role>.workers` processes of this machine, on a GPU each where there are some.

    The first error of any of them ends them all: those that are left could wait for the others for good.
    """

    def __init__(self, config: Config, role: str, source: str) -> None:
        """Starts the processes, which load the model while the caller goes on; `ready` waits for them.

        Raises ConfigError where there are fewer GPUs than workers.
        """
        self.dtype = config.role(role).model.dtype
        self._role, self._count = role, config.role(role).learn.workers
        self._refuse_too_many(config)
        self._folder = Path(tempfile.mkdtemp(prefix="crl-learner-"))
        self._lock = threading.Lock()
        children = [start_child("crl.learn.worker", str(self._folder)) for _ in range(self._count)]
        self._processes, self._connections = ([each[part] for each in children] for part in (0, 1))
        self._finalizer = weakref.finalize(self, _destroy, self._processes, self._connections, self._folder)
        for rank, connection in enumerate(self._connections):
            workers = Workers(rank, self._count)
            connection.send(Opening(config, role, source, workers, self._folder / "meeting"))

    def ready(self) -> "LearnerGroup":
        """Wait until every worker has its share of the model. Raises what opening a trainer raises."""
        with self._lock:
            self._collect("open")
        self.architecture: str = self._ask("architecture")
        return self

    def update(
        self, batch: Sequence[WeightedSequence], *, steps: int = 1, lr_scale: float = 1.0, version: int | None = None
    ) -> dict[str, float]:
        return self._ask("update", tuple(batch), steps, lr_scale, version)

    def weights(self) -> dict[str, torch.Tensor]:
        """Tensors on a file's pages, which are gone with them."""
        file = self._folder / "weights.safetensors"
        self._ask("write_weights", file)
        state = load_file(file)
        file.unlink()
        return state

    def save(self, folder: Path) -> None:
        self._ask("save", folder)

    def load(self, folder: Path) -> None:
        self._ask("load", folder)

    def keep(self) -> None:
        shutil.rmtree(self._kept, ignore_errors=True)
        self.save(self._kept)

    def take_back(self) -> None:
        self.load(self._kept)

    def save_kept(self, folder: Path) -> None:
        shutil.copytree(self._kept, folder, dirs_exist_ok=True)

    def load_kept(self, folder: Path) -> None:
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(folder, self._kept)

    def export(self, tokenizer: Any, folder: Path) -> None:
        """The leading worker loads the same tokenizer."""
        self._ask("export", folder)

    def close(self) -> None:
        self._finalizer()

    @property
    def _kept(self) -> Path:
        return self._folder / "kept"

    def _refuse_too_many(self, config: Config) -> None:
        if resolve_device(config.run.device) == "cuda" and self._count > torch.cuda.device_count():
            raise ConfigError(
                f"learn.{self._role}.workers = {self._count}: {torch.cuda.device_count()} CUDA devices are visible, and each "
                "worker takes one. Remedy: at most as many, or null"
            )

    def _ask(self, method: str, *arguments: Any) -> Any:
        """What the leading worker returns. Raises what a worker raised, and RunStopped for one that is gone."""
        message = ForkingPickler.dumps((method, arguments))
        with self._lock:
            if not self._finalizer.alive:
                raise RunStopped(self._told(f"was asked for {method}, but has ended before"))
            for rank, connection in enumerate(self._connections):
                try:
                    connection.send_bytes(message)
                except OSError:
                    self._fail(rank, method, None)
            return self._collect(method)

    def _collect(self, method: str) -> Any:
        ranks, values = {connection: rank for rank, connection in enumerate(self._connections)}, {}
        while len(values) < self._count:
            for connection in wait([each for each, rank in ranks.items() if rank not in values]):
                try:
                    value, error = connection.recv()
                except (EOFError, OSError):
                    self._fail(ranks[connection], method, None)
                if error is not None:
                    self._fail(ranks[connection], method, error)
                values[ranks[connection]] = value
        return values[0]

    def _fail(self, rank: int, method: str, error: CrlError | None) -> NoReturn:
        """End the group, and raise what it ended of: `error` of worker `rank`, or the death of any."""
        until = time.monotonic() + _DEATH_WAIT_S
        while not (dead := [each for each, code in self._codes() if code < 0]) and time.monotonic() < until:
            time.sleep(_DEATH_WAIT_S / 20)
        codes = dict(self._codes())
        self.close()
        if not dead and error is not None:
            raise error
        rank = dead[0] if dead else rank
        code = codes.get(rank)
        how = f"was ended by {signal.Signals(-code).name}" if dead else f"ended (status {code})"
        raise RunStopped(
            self._told(f"worker {rank + 1} of {self._count} (process {self._processes[rank].pid}) {how} in {method}")
        )

    def _codes(self) -> list[tuple[int, int]]:
        """Rank and exit status of those that have ended."""
        polled = ((rank, process.poll()) for rank, process in enumerate(self._processes))
        return [(rank, code) for rank, code in polled if code is not None]

    def _told(self, what: str) -> str:
        return (
            f"learn.{self._role}.workers = {self._count}: the {self._role}'s learner: {what}. The round is not committed, so "
            "nothing of it counts. Remedy: see whether memory ran out (dmesg), then give the same command again: it resumes from "
            "the last round"
        )


def _destroy(processes: list[Popen], connections: list[Connection], folder: Path) -> None:
    """End the processes, whatever they do, and remove what they left."""
    for connection in connections:
        connection.close()
    for process, connection in zip(processes, connections, strict=True):
        end_child(process, connection, _CLOSE_WAIT_S)
    shutil.rmtree(folder, ignore_errors=True)
