"""Workers that are gone, and errors of a worker that come of another one: what a group starts again after."""

import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from torch import distributed

# Of gloo, whose errors have no type of their own, and of the file by which workers meet. NCCL's watchdog ends the process instead.
_PEER = re.compile(r"gloo/transport/.*(timed out|timeout|closed by peer|reset by peer|broken pipe)", re.IGNORECASE)
_MEETING = "Wait timeout"


class WorkerLost(Exception):
    """A worker is gone without a word of its own, or its peers waited for it in vain: who, and how."""


class Left(WorkerLost):
    """It hung up, or nothing is heard of it any more."""


def comes_of_a_peer(error: Exception) -> bool:
    """Whether torch raised it since another worker did not come to what they do together, or hung up."""
    if isinstance(error, distributed.DistStoreError | distributed.DistNetworkError):
        return True
    return type(error) is RuntimeError and (str(error) == _MEETING or _PEER.search(str(error)) is not None)


def raise_what_went_wrong(names: Sequence[str], heard: Mapping[int, Exception | None], method: str) -> NoReturn:
    """An error of a worker's own, of those that were heard (by rank); else who kept the others waiting, or left: WorkerLost."""
    errors = [error for error in heard.values() if error is not None]
    for error in errors:
        if not isinstance(error, WorkerLost):
            raise error
    silent = [name for rank, name in enumerate(names) if rank not in heard]
    for error in errors:
        if silent and not isinstance(error, Left):
            raise WorkerLost(f"{', '.join(silent)} kept the others waiting in {method} ({error})")
    raise WorkerLost(f"{errors[0]} in {method}")
