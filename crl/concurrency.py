"""Tasks that end together: when one fails the others are cancelled and waited for, and its own error is what the caller gets."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """An `asyncio.TaskGroup` that raises the first error as it is, a task's or the body's, not inside an ExceptionGroup."""
    bodys = None
    try:
        async with asyncio.TaskGroup() as group:
            try:
                yield group
            except Exception as error:
                if not asyncio.current_task().cancelling():  # else a task has failed before
                    bodys = error
                raise
    except BaseExceptionGroup as failures:
        first = bodys or failures.exceptions[0]
        raise first from first.__cause__


async def run_all(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run them at once in one group; values in the order of `works`."""
    async with task_group() as group:
        tasks = [group.create_task(work) for work in works]
    return [task.result() for task in tasks]
