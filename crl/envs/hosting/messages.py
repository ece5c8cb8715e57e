"""What pool and worker processes say to each other: a list of requests, answered in order by one or more lists of replies."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from crl.errors import CrlError


class Request(NamedTuple):
    number: int  # > 0, unique in the worker's life
    method: str  # "reset" | "step" | "release"
    arguments: tuple  # of that method of `EnvHost`; the first is the slot


class Reply(NamedTuple):
    number: int
    value: Any  # an Observation, a StepResult or None
    error: CrlError | None = None


STARTING, IDLE = 0, -1  # the worker imports what it, or the next task, needs; it waits for requests


class Progress:
    """The number of the request in work, or STARTING or IDLE, in a file that both processes have open."""

    def __init__(self, file: Path) -> None:
        self._fd = os.open(file, os.O_RDWR | os.O_CREAT)

    def set(self, number: int) -> None:
        os.pwrite(self._fd, number.to_bytes(8, "little", signed=True), 0)

    def get(self) -> int:
        return int.from_bytes(os.pread(self._fd, 8, 0), "little", signed=True)  # nothing was written yet: STARTING

    def close(self) -> None:
        os.close(self._fd)
