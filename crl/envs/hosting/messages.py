"""What pool and worker processes say to each other: a list of requests, answered in order by one or more lists of replies."""

import mmap
import struct
from typing import Any, NamedTuple

from crl.errors import CrlError


class Request(NamedTuple):
    number: int  # > 0, unique in the worker's life
    method: str  # "reset" | "step" | "release"
    slot: int
    argument: Any = None


class Reply(NamedTuple):
    number: int
    value: Any  # an Observation, a StepResult or None
    error: CrlError | None = None


STARTING = -1  # the worker still imports what it needs


class Progress:
    """The number of the request in work, in a file mapped by both processes; 0 while idle, STARTING before."""

    @classmethod
    def create(cls, path: str) -> "Progress":
        with open(path, "wb") as file:
            file.write(struct.pack("q", STARTING))
        return cls(path)

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    def set(self, number: int) -> None:
        struct.pack_into("q", self._map, 0, number)

    def get(self) -> int:
        return struct.unpack_from("q", self._map, 0)[0]

    def close(self) -> None:
        self._map.close()
