"""One process at a time on what several could work on: a checkout, or a resumable state that experiments at once have in common."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from filelock import AsyncFileLock, Timeout

_POLL_S = 1.0


@contextlib.asynccontextmanager
async def held(state: Path, tell: Callable[[str], None]) -> AsyncIterator[None]:
    """The state for the block. While another process holds it, this one waits, and says so; a killed process holds nothing."""
    told = f"another run of the same parameters works on {state}: waiting until it ends"
    async with locked(state.with_name(f"{state.name}.lock"), tell, told):
        yield


@contextlib.asynccontextmanager
async def locked(file: Path, tell: Callable[[str], None], told: str, wait_s: float = -1) -> AsyncIterator[bool]:
    """The lock for the block, and whether it was waited for: `told` is said first. Raises Timeout after `wait_s`; -1: never."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock, waited = AsyncFileLock(file, thread_local=False), False
    try:
        await lock.acquire(timeout=0)
    except Timeout:
        tell(told)
        await lock.acquire(timeout=wait_s, poll_interval=_POLL_S)
        waited = True
    try:
        yield waited
    finally:
        await lock.release()
