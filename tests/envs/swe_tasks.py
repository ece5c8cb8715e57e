"""Shared by the SWE tests: tasks of the local set, and the demand for a Docker engine."""

from functools import cache

import pytest

from crl.config.sandbox import SandboxConfig
from crl.envs.family import TaskRequest
from crl.envs.swe.env import SweEnv
from crl.envs.swe.instances import Instance
from crl.envs.swe.local.repositories import instances
from crl.sandbox import SandboxUnavailable, shared_pool
from crl.types import Task

CONFIG = SandboxConfig()


def demand_engine() -> None:
    """Skip, with the reason and its remedy, where no container can be started."""
    try:
        shared_pool(CONFIG).take().close()
    except SandboxUnavailable as error:
        pytest.skip(str(error))


def request(split: str = "eval", count: int = 100, level: str = "local", source: str | None = None) -> TaskRequest:
    return TaskRequest("repair", "swe", level, split, 30, count, 5_000_000 if split == "eval" else 0, source)


@cache
def local_tasks(split: str = "eval") -> tuple[Task, ...]:
    return tuple(SweEnv.task_set(request(split)))


@cache
def local_instance(name: str) -> Instance:
    return next(instance for instance in instances() if instance.repo == f"local/{name}")


def local_task(name: str) -> Task:
    tasks = (*local_tasks("eval"), *local_tasks("train"))
    return next(task for task in tasks if f"local/{name}:" in task.goal)
