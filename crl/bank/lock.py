"""Who may write to a bank: one process at a time."""

from pathlib import Path

from filelock import FileLock, Timeout

from crl.errors import BankError

LOCK_FILE_NAME = "writer.lock"


def writer_lock(folder: Path, timeout_s: float) -> FileLock:
    """The lock of the one process that may write to a bank; a killed process leaves it free. Raises BankError."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_FILE_NAME, thread_local=False)
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout:
        raise BankError(
            f"{folder}: another process has been writing to this bank for {timeout_s:g} s. "
            "Remedy: wait for that run to end, or use another run folder"
        ) from None
    return lock
