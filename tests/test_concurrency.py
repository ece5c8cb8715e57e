"""Coroutines at once: the order of their values, and what becomes of them when one fails."""

import asyncio

import pytest

from crl.concurrency import run_all, task_group
from crl.errors import EngineError, EnvError


async def test_values_come_in_the_order_of_the_works_whoever_is_first():
    async def after(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    assert await run_all(after(turns) for turns in (3, 1, 2)) == [3, 1, 2]
    assert await run_all([]) == []


async def test_a_failure_is_raised_as_itself_when_nobody_runs_any_more():
    ended = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def fails() -> None:
        await asyncio.sleep(0)
        raise EngineError("the engine was lost")

    async def nested() -> None:
        await run_all([endless(), fails()])

    with pytest.raises(EngineError, match="lost"):
        await run_all([endless(), nested(), endless()])
    assert ended == [True] * 3


async def test_of_two_failures_the_first_is_raised():
    async def fails(error: Exception) -> None:
        raise error

    with pytest.raises(EnvError):
        await run_all([fails(EnvError("first")), fails(EngineError("second"))])


async def test_the_bodys_failure_is_raised_before_what_becomes_of_its_tasks_and_after_what_ended_it():
    async def breaks_when_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise EngineError("could not be stopped")

    async def fails() -> None:
        raise EngineError("of the task")

    async def fail_beside(task, body) -> None:
        async with task_group() as group:
            group.create_task(task())
            await asyncio.sleep(0)
            await body()

    async def fails_first() -> None:
        raise EnvError("of the body")

    async def fails_when_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise EnvError("of the body")

    with pytest.raises(EnvError, match="of the body"):
        await fail_beside(breaks_when_cancelled, fails_first)
    with pytest.raises(EngineError, match="of the task"):
        await fail_beside(fails, fails_when_cancelled)


async def test_cancelled_from_outside_all_are_cancelled_and_that_is_told():
    task = asyncio.create_task(run_all([asyncio.Event().wait(), asyncio.Event().wait()]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
