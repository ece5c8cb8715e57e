"""The task sets: the local repositories, or instances of SWE-bench that a user has."""

from collections.abc import Iterator
from itertools import islice

from crl.envs.family import TaskRequest
from crl.envs.swe.instances import Instance
from crl.envs.swe.local.repositories import instances
from crl.envs.swe.patches import refusal
from crl.envs.swe.sources import read
from crl.errors import ConfigError
from crl.types import Task

LOCAL = "local"


def tasks(request: TaskRequest) -> Iterator[Task]:
    """One task per instance of the split, at most `request.count`.

    Instances whose own reference patch our rules refuse are left out: they could not be solved here.
    """
    gradable = (instance for instance in _instances(request) if not refusal(instance.patch, instance))
    for index, instance in enumerate(islice(gradable, request.count)):
        yield request.task(
            request.first_seed + index,
            payload=instance.payload(),
            goal=f"Repair the repository {instance.repo}: {instance.title}",
            difficulty=instance.difficulty,
        )


def _instances(request: TaskRequest) -> Iterator[Instance]:
    if request.source is not None:
        return read(request.source, request.split)
    if request.level == LOCAL:
        return instances(request.split)
    raise ConfigError(
        f"tasks.mix.{request.name}: level = {request.level!r} needs source. Remedy: give a hub name such as "
        f"SWE-bench/SWE-bench_Verified, or a .parquet, .json or .jsonl file; or level: {LOCAL}"
    )
