"""Units of a round as Prefect task runs: `CoEvolution` decides the order, this decides how each one runs."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from typing import TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from crl.errors import EngineError, EnvError
from flows.prefect.gpu import slot

T = TypeVar("T")


async def _lost_to_infrastructure(task, run, state) -> bool:
    """Retry what a crashed worker or a lost engine broke; wrong parameters stay wrong."""
    return isinstance(await state.aresult(raise_on_failure=False), EnvError | EngineError | OSError)


# Ids and random streams derive from the unit's place in the run, so that a rollout shard or a distillation that
# did not return can be run again: it makes the same episodes and operations, and those are written only once. This is the one
# place that says what may run twice: nothing else is retried, here by Prefect or on a cluster by Ray (flows/cluster/ray.py).
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
        async with slot() if name.startswith("update-") else nullcontext():
            values.append(await work())

    retried = RETRIED if name.startswith(("rollout-", "distil-")) else {"retries": retries}
    await unit.with_options(name=_task_name(name), task_run_name=name, **retried)(keep_value)
    return values[-1]


def _task_name(name: str) -> str:
    """`rollout-shard-0` -> `rollout`: one name per sort of work in Prefect's pages."""
    return name if name.startswith("update-") else name.split("-")[0]
