"""The heartbeat of a group's workers, which tells one that stands still from one that computes for long.

A worker's thread counts, and the head looks. It stops with the process (SIGSTOP, a debugger, a frozen container) and with an
interpreter that native code never gives back; not with a thread that waits for good while others may run, as for a GPU.
"""

import mmap
import tempfile
import threading
import time
from pathlib import Path

BEAT_S = 0.5
# Native code may keep the interpreter for as long as it writes a file: 100 GB at a third of a GB a second.
SILENT_S = 300.0
BEGIN_S = 600.0  # until the first beat, behind imports from whatever disk

_LOOK_AT_LEAST_EVERY_S = 2.0  # what lies between two looks counts no longer: the head itself may have been stopped


class Beats:
    """What the head sees: a byte of one file for each worker."""

    def __init__(self, folder: Path, count: int) -> None:
        with tempfile.NamedTemporaryFile(prefix="beats-", dir=folder, delete=False) as file:
            file.write(bytes(count))
        self.file = Path(file.name)
        self._bytes = _mapped(self.file)
        self._seen, self._silent_s, self._looked = bytes(count), [0.0] * count, time.monotonic()

    def silent(self) -> dict[int, float]:
        """For how many seconds of looking the workers have not moved that are silent for too long, by rank."""
        now, seen = time.monotonic(), bytes(self._bytes)
        passed, self._looked = min(now - self._looked, _LOOK_AT_LEAST_EVERY_S), now
        self._silent_s = [
            silent + passed if before == byte else 0.0
            for silent, before, byte in zip(self._silent_s, self._seen, seen, strict=True)
        ]
        self._seen = seen
        return {
            rank: silent for rank, silent in enumerate(self._silent_s) if silent > (SILENT_S if seen[rank] else BEGIN_S)
        }


def beat(file: Path, rank: int) -> None:
    """In a worker: count from now on."""
    threading.Thread(target=_count, args=(_mapped(file), rank), daemon=True).start()


def _count(beats: mmap.mmap, rank: int) -> None:
    while True:
        beats[rank] = beats[rank] % 255 + 1
        time.sleep(BEAT_S)


def _mapped(file: Path) -> mmap.mmap:
    with file.open("r+b") as opened:
        return mmap.mmap(opened.fileno(), 0)
