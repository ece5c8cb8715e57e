"""Many episodes' environments behind three calls: `reset`, `step`, `release`.

With `envs.workers = 0` they run in the calling process: simplest, deterministic, but a hang hangs the
caller. With workers they run in processes; one that dies or hangs is replaced, its episodes get
`EnvCrash` or `EnvTimeout`, and all others go on.
"""

import asyncio
import itertools
from contextlib import AbstractContextManager

from crl.config.play import EnvsConfig
from crl.envs.contract import Observation, StepResult
from crl.envs.errors import EnvCrash, EnvError
from crl.envs.hosting.host import EnvHost
from crl.envs.hosting.process import WorkerProcess
from crl.errors import CrlError
from crl.types import Task


class EnvPool(AbstractContextManager):
    """Environments for the episodes of one event loop at a time. Use as a context manager, or `close`."""

    def __init__(self, config: EnvsConfig) -> None:
        self._numbers = itertools.count()
        self._homes: dict[int, WorkerProcess | None] = {}  # slot -> where it lives; None: in this process
        self._host = EnvHost(config) if config.workers == 0 else None
        self._workers = [WorkerProcess(config) for _ in range(config.workers)]

    async def reset(self, task: Task) -> tuple[int, Observation]:
        """Start an episode. Returns its slot, to be released by the caller, and the first observation.
        Raises CrlError (then there is nothing to release)."""
        slot = next(self._numbers)
        worker = min(self._workers, key=lambda worker: len(worker.slots), default=None)
        self._homes[slot] = worker
        try:
            if worker is None:
                return slot, self._host.reset(slot, task)
            worker.slots.add(slot)
            return slot, await worker.call("reset", slot, task)
        except (CrlError, asyncio.CancelledError):
            self.release(slot)
            raise

    async def step(self, slot: int, action: str) -> StepResult:
        """Play one action. Raises EnvError; after that the slot can only be released."""
        if slot not in self._homes:
            raise EnvError(f"slot {slot} is not in play. Remedy: use the slot that reset returned, until its release")
        worker = self._homes[slot]
        if worker is None:
            return self._host.step(slot, action)
        if slot not in worker.slots:
            raise EnvCrash(f"slot {slot} was lost with its worker. Remedy: release it and play the episode again")
        return await worker.call("step", slot, action)

    def release(self, slot: int) -> None:
        """Give an episode's environment back; releasing twice is no error."""
        worker = self._homes.pop(slot, None)
        if self._host is not None:
            self._host.release(slot)
        elif worker is not None and slot in worker.slots:
            worker.slots.discard(slot)
            worker.tell("release", slot)

    def close(self) -> None:
        """End all workers and environments. Calls that still wait get EnvCrash."""
        for worker in self._workers:
            worker.close()
        if self._host is not None:
            self._host.close()
        self._homes.clear()

    def __exit__(self, *error: object) -> None:
        self.close()
