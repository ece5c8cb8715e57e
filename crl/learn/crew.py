"""The workers of a learner group, from one start to their end: `crl.learn.group` starts another crew where one lost a worker."""

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch
from safetensors.torch import load_file

from crl.concurrency import end_child, start_child
from crl.learn.beats import Beats
from crl.learn.lost import Left, WorkerLost, raise_what_went_wrong
from crl.learn.worker import Opening

_CLOSE_WAIT_S = 5.0
_DEATH_WAIT_S = 1.0  # an error of a worker may come of another's death, which is then the one to be told
_LOOK_S = 0.5


class Crew(Protocol):
    """Workers that are asked together. After an error or a loss they are good for nothing but `kill` or `leave`."""

    def opened(self) -> None:
        """Wait until every worker has its share of the model. Raises as `ask`, and what opening a trainer raises."""
        ...

    def ask(self, method: str, message: memoryview) -> Any:
        """What the leading worker answers. Raises what a worker raised, and WorkerLost for one that was killed, or that left."""
        ...

    def weights(self) -> dict[str, torch.Tensor]:
        """What the leading worker gathers, in memory that is shared with nobody who writes. Raises as `ask`."""
        ...

    def killed(self) -> str | None:
        """The first worker that was ended by no word of its own, as far as is known, in words."""
        ...

    def watch(self) -> None:
        """Until one of them ends. One that stands still is ended, whatever is asked of it; whoever asked finds it killed."""
        ...

    def kill(self) -> None:
        """End them at once, and leave the folder."""
        ...

    def leave(self) -> None:
        """End them, whatever they do."""
        ...


# (what each is to be, a folder that all of them see). It waits for nothing.
StartCrew = Callable[[Sequence[Opening], Path], Crew]


class CrewHere:
    """Processes of this machine."""

    def __init__(self, openings: Sequence[Opening], folder: Path) -> None:
        """Starts a process for each opening and waits for none; without the head they remove `folder` and leave."""
        self._folder = folder
        self._beats, self._stood = Beats(folder, len(openings)), dict[int, str]()
        beats = str(self._beats.file)
        children = [start_child("crl.learn.worker", str(folder), beats, str(rank)) for rank in range(len(openings))]
        self._processes, self._connections = ([each[part] for each in children] for part in (0, 1))
        for connection, opening in zip(self._connections, openings, strict=True):
            with suppress(OSError):  # one that is gone already is found by whoever waits for its answer
                connection.send(opening)

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def opened(self) -> None:
        self._answers("open")

    def ask(self, method: str, message: memoryview) -> Any:
        for connection in self._connections:
            try:
                connection.send_bytes(message)
            except OSError:
                self._fail(method, {})
        return self._answers(method)

    def weights(self) -> dict[str, torch.Tensor]:
        """Tensors on a file's pages, which are gone with them."""
        file = self._folder / "weights.safetensors"
        self.ask("write_weights", ForkingPickler.dumps(("write_weights", (file,))))
        state = load_file(file)
        file.unlink()
        return state

    def killed(self) -> str | None:
        """One that a signal has ended."""
        for rank, process in enumerate(self._processes):
            if (code := process.poll()) is not None and code < 0:
                return f"{self._name(rank)} {self._stood.get(rank, '')}was ended by {signal.Signals(-code).name}"
        return None

    def watch(self) -> None:
        while all(process.poll() is None for process in self._processes):
            for rank, seconds in self._beats.silent().items():
                self._stood[rank] = f"stood still for {seconds:.0f} s and "
                self._processes[rank].kill()
            time.sleep(_LOOK_S)

    def kill(self) -> None:
        """Before they see the head hang up, upon which they would remove the folder."""
        for process in self._processes:
            process.kill()
        for process, connection in zip(self._processes, self._connections, strict=True):
            process.wait()
            connection.close()

    def leave(self) -> None:
        for connection in self._connections:
            connection.close()
        for process, connection in zip(self._processes, self._connections, strict=True):
            end_child(process, connection, _CLOSE_WAIT_S)

    def _answers(self, method: str) -> Any:
        ranks, values = {connection: rank for rank, connection in enumerate(self._connections)}, {}
        while len(values) < len(ranks):
            for connection in wait([each for each, rank in ranks.items() if rank not in values]):
                value, error = self._word(rank := ranks[connection])
                if error is not None:
                    self._fail(method, dict.fromkeys(values) | {rank: error})
                values[rank] = value
        return values[0]

    def _word(self, rank: int) -> tuple[Any, Exception | None]:
        """What a worker says, be it by hanging up."""
        try:
            return self._connections[rank].recv()
        except (EOFError, OSError):
            return None, Left(f"{self._name(rank)} left")

    def _fail(self, method: str, heard: dict[int, Exception | None]) -> NoReturn:
        """Raise what went wrong: the death of any worker, else `raise_what_went_wrong`; `heard`: what they have said, by rank."""
        until = time.monotonic() + _DEATH_WAIT_S
        while not (dead := self.killed()) and time.monotonic() < until:
            time.sleep(_DEATH_WAIT_S / 20)
        if dead:
            raise WorkerLost(f"{dead} in {method}")
        for rank, connection in enumerate(self._connections):
            if rank not in heard and connection.poll():
                heard[rank] = self._word(rank)[1]
        raise_what_went_wrong([self._name(rank) for rank in range(len(self._connections))], heard, method)

    def _name(self, rank: int) -> str:
        return f"worker {rank + 1} of {len(self._processes)} (process {self._processes[rank].pid})"
