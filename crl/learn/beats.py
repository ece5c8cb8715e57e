"""The heartbeat of a group's workers, which tells one that stands still from one that computes for long.

A worker's thread counts, and the head looks. It stops with the process (SIGSTOP, a debugger, a frozen container) and with an
interpreter that native code never gives back; not with a thread that waits for good while others may run, as for a GPU.
"""

import mmap
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

BEAT_S = 0.5
# Native code may keep the interpreter for as long as it writes a file: 100 GB at a third of a GB a second.
SILENT_S = 300.0
BEGIN_S = 600.0  # until the first beat, behind imports from whatever disk

_LOOK_AT_LEAST_EVERY_S = 2.0  # what lies between two looks counts no longer: the head itself may have been stopped


class Silence:
    """For how long workers have not moved, as far as somebody looked."""

    def __init__(self, count: int) -> None:
        self._begun, self._silent_s, self._looked = [False] * count, [0.0] * count, time.monotonic()

    def too_long(self, moved: Sequence[bool]) -> dict[int, float]:
        """Seconds of those that are silent for too long, by rank; `moved`: since the last look."""
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, _LOOK_AT_LEAST_EVERY_S), now
        found = {}
        for rank, has in enumerate(moved):
            self._begun[rank] |= has
            self._silent_s[rank] = 0.0 if has else self._silent_s[rank] + passed
            if self._silent_s[rank] > (SILENT_S if self._begun[rank] else BEGIN_S):
                found[rank] = self._silent_s[rank]
        return found


class Beats:
    """What the head sees of workers of its machine: a byte of one file for each."""

    def __init__(self, folder: Path, count: int) -> None:
        with tempfile.NamedTemporaryFile(prefix="beats-", dir=folder, delete=False) as file:
            file.write(bytes(count))
        self.file = Path(file.name)
        self._bytes, self._seen, self._silence = _mapped(self.file), bytes(count), Silence(count)

    def silent(self) -> dict[int, float]:
        """See `Silence.too_long`."""
        before, self._seen = self._seen, bytes(self._bytes)
        return self._silence.too_long([now != then for now, then in zip(self._seen, before, strict=True)])


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
