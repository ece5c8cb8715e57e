"""The file of a ledger as SQLite opens it: for its one writer, for readers beside it, and where nothing may be written."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from crl.errors import BankError, DataError

FILE_NAME = "ledger.sqlite"
LOCK_FILE_NAME = "writer.lock"
BUSY_TIMEOUT_S = 30.0
_MAY_NOT = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_ELSEWHERE = (*_MAY_NOT, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY)


@contextmanager
def writer_lock(folder: Path, timeout_s: float) -> Iterator[None]:
    """Be the one process that may write to a bank; a killed process leaves the lock free. Raises BankError."""
    lock = FileLock(folder / LOCK_FILE_NAME, thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=timeout_s)
    except Timeout:
        raise BankError(
            f"{folder}: another process has been writing to this bank for {timeout_s:g} s. "
            "Remedy: wait for that run to end, or use another run folder"
        ) from None
    except OSError as error:
        raise BankError(
            f"{folder}: nothing can be written there ({error.strerror}). Remedy: room and rights to write, or a copy of the "
            "run's folder, --run COPY"
        ) from None
    try:
        yield
    finally:
        lock.release()


def connected(folder: Path, mode: Literal["rwc", "rw", "ro"]) -> sqlite3.Connection:
    """Raises DataError when the file is no database, or cannot be opened."""
    with faults_told(folder):
        if mode == "ro":
            return _reading(folder)
        db = _opened(folder, f"mode={mode}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        return db


def _reading(folder: Path) -> sqlite3.Connection:
    """SQLite makes files beside a database in WAL mode, even to read it. Where it may not, only one without a log can be read."""
    db = _opened(folder, "mode=ro")
    try:
        db.execute("SELECT 1 FROM sqlite_master")
        return db
    except sqlite3.DatabaseError as error:
        db.close()
        if _code(error) not in _MAY_NOT:
            raise
    log = folder / f"{FILE_NAME}-wal"
    if log.exists() and log.stat().st_size:
        raise DataError(
            f"{folder}: nothing can be written there, and what was written last is still in {log.name}, which SQLite cannot "
            "read then. Remedy: rights to write, or a copy of the folder, --run COPY"
        )
    return _opened(folder, "mode=ro&immutable=1")


def _opened(folder: Path, options: str) -> sqlite3.Connection:
    uri = f"{(folder / FILE_NAME).resolve().as_uri()}?{options}"
    db = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    return db


@contextmanager
def faults_told(folder: Path) -> Iterator[None]:
    """What keeps SQLite from opening a file is not taken for damage of it."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        file = folder / FILE_NAME
        if _code(error) in _ELSEWHERE:
            remedy = "room on the disk, rights to the file and its folder, and no other program that writes to it"
            raise DataError(f"{file}: cannot be opened ({error}), whatever is in it. Remedy: {remedy}") from None
        raise DataError(f"{file}: not a bank ledger ({error}). Remedy: restore it from a backup") from None


def _code(error: sqlite3.DatabaseError) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the rest tells kinds of it apart
