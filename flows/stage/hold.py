"""One process at a time on a resumable state: experiments that run at once may have the same one."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from filelock import AsyncFileLock, Timeout

_POLL_S = 1.0


@contextlib.asynccontextmanager
async def held(state: Path, tell: Callable[[str], None]) -> AsyncIterator[None]:
    """The state for the block. While another process holds it, this one waits, and says so; a killed process holds nothing."""
    state.parent.mkdir(parents=True, exist_ok=True)
    lock = AsyncFileLock(state.with_name(f"{state.name}.lock"), thread_local=False)
    try:
        await lock.acquire(timeout=0)
    except Timeout:
        tell(f"another run of the same parameters works on {state}: waiting until it ends")
        await lock.acquire(poll_interval=_POLL_S)
    try:
        yield
    finally:
        await lock.release()
