"""Records on disk until a tracker has taken them: one append-only journal per process.

runs/spool/<time>-<pid>.jsonl     records, one per line, flushed to disk before `append` returns
runs/spool/<time>-<pid>.sent      how many bytes of it were delivered
runs/spool/<time>-<pid>.lock      held by whoever writes or delivers it
runs/spool/<time>-<pid>.files/    copies of the files that its records name
runs/spool/refused.jsonl          lines that the tracker did not take and never will as things are, each with its reason
runs/spool/refused.files/         the files that they name
"""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from flows.tracking.records import Record, to_line

LINKED_BYTES = 16 * 2**20  # larger files (weights) are hard-linked: nothing rewrites them in place


class Journal:
    """One process's records. Whoever holds its lock may deliver it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.files = file.with_suffix(".files")
        self._cursor = file.with_suffix(".sent")
        self._lock = FileLock(file.with_suffix(".lock"), blocking=False, thread_local=False)
        self._writing = threading.Lock()

    @classmethod
    def create(cls, folder: Path) -> "Journal":
        folder.mkdir(parents=True, exist_ok=True)
        journal = cls(folder / f"{time.time_ns():020d}-{os.getpid()}.jsonl")
        journal._lock.acquire()
        return journal

    def claim(self) -> bool:
        """Take over a journal whose process has ended; False while that process lives."""
        try:
            self._lock.acquire()
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Let others deliver it; a journal without an undelivered record leaves nothing behind."""
        if not any(self.unsent()):
            for path in (self.file, self._cursor, self.file.with_suffix(".lock")):
                path.unlink(missing_ok=True)
            shutil.rmtree(self.files, ignore_errors=True)
        self._lock.release()

    def append(self, record: Record) -> None:
        """The record is on the disk when this returns."""
        with self._writing, self.file.open("ab") as stream:
            stream.write(to_line(record))
            stream.flush()
            os.fsync(stream.fileno())

    def keep(self, source: Path, name: str) -> Path:
        """A copy of a file or folder that stays as it is now, until its record is delivered."""
        target = self.files / name / source.name
        if target.exists():
            shutil.rmtree(target.parent)
        target.parent.mkdir(parents=True)
        if source.is_dir():
            shutil.copytree(source, target, copy_function=link_or_copy)
        else:
            link_or_copy(source, target)
        return target

    def found(self, record: Record) -> Record:
        """The record with its kept file where that lies now: a checkout may have moved, a refused record's files lie aside."""
        for argument in ("local_path", "local_dir"):
            if isinstance(named := record.kwargs.get(argument), str):
                places = [folder.joinpath(*Path(named).parts[-2:]) for folder in (self.files, _aside(self.file.parent))]
                kept = next((place for place in places if place.exists()), places[0])
                return replace(record, kwargs={**record.kwargs, argument: str(kept)})
        return record

    def forget(self, kept: Path) -> None:
        """Drop a copy once it is delivered."""
        if not {self.files, _aside(self.file.parent)}.isdisjoint(kept.parents):
            shutil.rmtree(kept.parent, ignore_errors=True)

    @property
    def unsent_bytes(self) -> int:
        return (self.file.stat().st_size - self._sent()) if self.file.exists() else 0

    def unsent(self) -> Iterator[tuple[bytes, int]]:
        """Undelivered lines with the position after each. A line torn by a kill is the last and is left out."""
        if not self.file.exists():
            return
        with self.file.open("rb") as stream:
            stream.seek(self._sent())
            while (line := stream.readline()).endswith(b"\n"):
                yield line, stream.tell()

    def mark_sent(self, position: int) -> None:
        partial = self._cursor.with_suffix(".partial")
        partial.write_text(str(position))
        os.replace(partial, self._cursor)

    def _sent(self) -> int:
        with suppress(
            FileNotFoundError, ValueError
        ):  # ValueError: a full disk left it empty. Delivering twice is harmless
            return int(self._cursor.read_text())
        return 0


def journals(folder: Path) -> list[Journal]:
    """All journals in `folder`, oldest first."""
    return [Journal(file) for file in sorted(folder.glob("*-*.jsonl"))]


def refuse(journal: Journal, line: bytes, reason: str, kept: Path | None) -> None:
    """Set a line aside with its file, so that those behind it get through."""
    folder = journal.file.parent
    with FileLock(folder / "refused.lock"), refused_file(folder).open("a") as stream:
        stream.write(json.dumps({"reason": reason, "line": line.decode(errors="replace").rstrip()}) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    if kept and journal.files in kept.parents and kept.exists():
        aside = _aside(folder) / kept.parent.name
        shutil.rmtree(aside, ignore_errors=True)
        aside.parent.mkdir(exist_ok=True)
        os.rename(kept.parent, aside)


def refused_file(folder: Path) -> Path:
    return folder / "refused.jsonl"


def take_up_refused(folder: Path) -> None:
    """Make a journal of what was refused, to be delivered like any other; its files stay where they are until then."""
    if folder.is_dir():
        with FileLock(folder / "refused.lock"):
            if refused_file(folder).exists():
                journal = Journal.create(folder)
                os.rename(refused_file(folder), journal.file)
                journal.release()


def _aside(folder: Path) -> Path:
    return folder / "refused.files"


def link_or_copy(source: str | Path, target: str | Path) -> None:
    if os.stat(source).st_size > LINKED_BYTES:
        try:
            os.link(source, target)
            return
        except OSError:  # another file system, or one without links
            pass
    shutil.copy2(source, target)
