"""Units of a round as Prefect task runs: `CoEvolution` decides the order, this decides how each one runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from prefect import get_client, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.asyncio import concurrency
from prefect.exceptions import ObjectAlreadyExists

from crl.errors import EngineError, EnvError

T = TypeVar("T")
GPU = "gpu"  # the global concurrency limit that updates share, across all runs of a server
# The server writes the task run's start to SQLite just when a slot is asked for, answers 503 in that case, and Prefect's
# client then waits 2 s. Asked for a moment later, 1 of 12 slots meets a 503 instead of 10 (measured).
_SETTLE_S = 0.25
_LEASE_S = 60.0  # the shortest that the server takes: a killed run's slot is free again after it


async def _lost_to_infrastructure(task, run, state) -> bool:
    """Retry what a crashed worker or a lost engine broke; wrong parameters stay wrong."""
    return isinstance(await state.aresult(raise_on_failure=False), EnvError | EngineError | OSError)


# Ids and random streams derive from the unit's place in the run, so that a rollout shard or a distillation that
# did not return can be run again: it makes the same episodes and operations, and those are written only once.
RETRIED = {"retries": 2, "retry_delay_seconds": [1, 10], "retry_condition_fn": _lost_to_infrastructure}


@task(cache_policy=NO_CACHE, persist_result=False)
async def unit(work: Callable[[], Awaitable[None]]) -> None:
    """One unit of work. Its value stays in this process: episodes are no business of the orchestrator."""
    await work()


async def in_thread(function: Callable[..., T], *arguments: object, name: str = "", retries: int = 0) -> T:
    """A stage's blocking work as a task run, in a thread: the stage's progress goes on to be shown."""
    return await run_as_task(name or function.__name__, partial(asyncio.to_thread, function, *arguments), retries)


async def run_as_task(name: str, work: Callable[[], Awaitable[T]], retries: int = 0) -> T:
    """Run a unit as a task run of its name: `Hooks.run_unit`. `retries`: after whatever it raised."""
    values: list[T] = []

    async def keep_value() -> None:
        values.append(await (_on_gpu(work) if name.startswith("update-") else work()))

    retried = RETRIED if name.startswith(("rollout-", "distil-")) else {"retries": retries}
    await unit.with_options(name=_task_name(name), task_run_name=name, **retried)(keep_value)
    return values[-1]


# A lease is renewed at once when it begins; an update that ends within that call is "gone", and warned of.
logging.getLogger("prefect.concurrency").setLevel(logging.ERROR)


async def ensure_gpu_limit() -> None:
    """Create the limit, with one slot, where it is missing; a number that a team has set stays."""
    async with get_client() as client:
        with suppress(ObjectAlreadyExists):
            await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=GPU, limit=1))


async def _on_gpu(work: Callable[[], Awaitable[T]]) -> T:
    await asyncio.sleep(_SETTLE_S)
    async with concurrency(GPU, lease_duration=_LEASE_S):
        return await work()


def _task_name(name: str) -> str:
    """`rollout-shard-0` -> `rollout`: one name per sort of work in Prefect's pages."""
    return name if name.startswith("update-") else name.split("-")[0]
