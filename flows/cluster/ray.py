"""The head's side of a Ray cluster: orders out, results in, and a clear end when no node is left."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from prefect import Task, get_client
from prefect.context import FlowRunContext
from prefect.states import Crashed

from crl.bank.stores import open_store
from crl.config import Config
from crl.config.addresses import addresses
from crl.errors import ConfigError, RunStopped
from crl.round.shards import Home, PlayShard, ShardOrder, ShardResult
from flows.cluster.node import play_shard, stand_in

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

try:
    import ray
    from prefect_ray import RayTaskRunner
    from prefect_ray.context import remote_options
    from prefect_ray.task_runners import PrefectRayFuture
except ImportError as error:
    raise ConfigError(
        f"run.task_runner = 'ray': {error.name} is not installed. Remedy: make cluster, on the head and on every node"
    ) from None

NO_NODE_WAIT_S = 300.0  # a cluster that scales itself, or an operator, brings a node back within this
_LOOK_EVERY_S = 5.0
_LOST_NODES = 5  # per task that may run twice: how often Ray runs it again because its node or its worker died


class RayNodes:
    """Plays shards as Prefect tasks on a cluster's nodes."""

    def __init__(self, runner: RayTaskRunner, config: Config) -> None:
        self._runner, self._config = runner, config
        self._homes: dict[str, Any] = {}  # by run, in Ray's store
        self._snapshot: tuple[bytes | None, Any] = (None, None)  # the round's, once in Ray's store for all shards

    async def play(self, home: Home, order: ShardOrder) -> ShardResult:
        """Send a shard to a node and wait for it, within the time that its episodes have at most.

        Raises RunStopped when nodes kept dying or none is left, and what the shard raised.
        """
        if home.run_id not in self._homes:
            self._homes[home.run_id] = ray.put(_with_known_addresses(home))
        if order.snapshot is not self._snapshot[0]:
            self._snapshot = (order.snapshot, ray.put(order.snapshot))
        # Behind references Prefect does not walk through thousands of values in search of futures.
        parameters = {
            "home": self._homes[home.run_id], "order": ray.put(replace(order, snapshot=None)), "snapshot": self._snapshot[1],
        }  # fmt: skip
        task = play_shard.with_options(task_run_name=order.shard.name)
        future = send(self._runner, task, parameters, num_cpus=cpus_per_shard(self._config))
        try:
            state = await self._answer(order, future.wrapped_future)
        except (RunStopped, asyncio.CancelledError) as error:
            await end(future, task, str(error) or "the run was stopped")
            raise
        return await state.aresult()

    async def _answer(self, order: ShardOrder, sent: Any) -> Any:
        answer = asyncio.wrap_future(sent.future())
        deadline = time.monotonic() + longest_s(order, self._config)
        seen = time.monotonic()
        try:
            while not (await asyncio.wait({answer}, timeout=_LOOK_EVERY_S))[0]:
                now = time.monotonic()
                seen = now if await asyncio.to_thread(large_enough, self._config) else seen
                if now > deadline or now - seen > NO_NODE_WAIT_S:
                    why = "it took longer than its episodes may" if now > deadline else "no node of the cluster is left"
                    raise RunStopped(
                        f"{order.shard.name}: {why}. Remedy: bring nodes back (`ray status`) and run the same command; it "
                        "resumes from the last round"
                    )
            return answer.result()
        except ray.exceptions.RayError as error:
            raise RunStopped(
                f"{order.shard.name}: lost with its node {_LOST_NODES + 1} times: {error}. Remedy: look at the nodes' memory "
                "and logs, then run the same command; it resumes from the last round"
            ) from error
        finally:
            answer.cancel()


def send(runner: RayTaskRunner, task: Task, parameters: dict[str, Any], **options: object) -> PrefectRayFuture:
    """Send a task to a node. Ray runs a task up to four times whose worker dies, unless it is told what each may bear.

    So a task declares once whether it may run twice, by its `retries` (`flows.prefect.units.RETRIED`), and Ray heeds that.
    """
    with (
        FlowRunContext.get().model_copy(update={"flow": stand_in}),
        remote_options(scheduling_strategy="SPREAD", max_retries=_LOST_NODES if task.retries else 0, **options),
    ):
        return runner.submit(task, parameters)


async def end(future: PrefectRayFuture, task: Task, why: str) -> None:
    """End what was sent, if it still runs, and have the server know it as crashed: a killed worker tells it nothing.

    The server may never have heard of it. One that does not answer is left as it is: more important is what ended the task.
    """
    ray.cancel(future.wrapped_future, force=True)
    state, run = Crashed(message=why), FlowRunContext.get().flow_run
    with suppress(httpx.TransportError):
        async with get_client() as client:
            try:
                await client.set_task_run_state(future.task_run_id, state, force=True)
            except httpx.HTTPStatusError as error:
                if error.response.status_code != httpx.codes.NOT_FOUND:
                    raise
                id_, name = future.task_run_id, task.task_run_name or task.name
                await client.create_task_run(task, run.id, dynamic_key=str(id_), id=id_, name=name, state=state)


def _with_known_addresses(home: Home) -> Home:
    """Addresses that the head's environment names count on the nodes as well."""
    config, known = home.config, addresses(home.config.servers)
    servers = dict(known.of_models)
    if known.weaviate is not None:
        servers["weaviate"] = f"{known.weaviate.url}?grpc={known.weaviate.grpc_port}"
    return replace(home, config=config.model_copy(update={"servers": config.servers.model_copy(update=servers)}))


@contextmanager
def on_ray(config: Config) -> Iterator[PlayShard]:
    """Connect to the cluster of `servers.ray`, or start one of this machine; yields what plays a shard on it."""
    refuse_what_nodes_cannot_do(config)
    known = addresses(config.servers)
    local = {"include_dashboard": False} if known.ray is None else {}
    runner = RayTaskRunner(known.ray, {"log_to_driver": False, "logging_level": "WARNING", **local})
    try:
        runner.__enter__()
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"servers.ray = {known.ray!r}: {error}. Remedy: `ray start --head` there, then its address, or null for this machine"
        ) from error
    try:
        if not large_enough(config):
            raise ConfigError(
                f"envs.workers = {config.envs.workers}: a shard takes {cpus_per_shard(config)} CPUs of one node, and no node has "
                "so many. Remedy: lower it, or start nodes with more (`ray start --num-cpus`)"
            )
        yield RayNodes(runner, config).play
    finally:
        runner.__exit__(None, None, None)


def cpus_per_shard(config: Config) -> int:
    """A node's CPUs that one shard holds: environments burn them, the loop that plays is mostly waiting."""
    return max(1, config.envs.workers)


def large_enough(config: Config) -> bool:
    """Whether any living node could play a shard."""
    return any(node["Resources"].get("CPU", 0) >= cpus_per_shard(config) for node in ray.nodes() if node["Alive"])


def longest_s(order: ShardOrder, config: Config) -> float:
    """The time within which a shard's episodes end one way or another, on one node after the other."""
    waves = -(-len(order.shard.specs) // order.live)
    return config.rollout.episode_timeout_s * config.rollout.attempts * waves * (_LOST_NODES + 1)


def refuse_what_nodes_cannot_do(config: Config) -> None:
    """Raises ConfigError."""
    store = open_store(config.bank, config.servers, run_id="", folder=Path())
    if store is not None:
        store.check_reachable()
    elif config.retrieval.recency_s is not None:
        raise ConfigError(
            f"retrieval.recency_s = {config.retrieval.recency_s}: nodes read a snapshot, which knows rounds but no clock. "
            "Remedy: retrieval.recency_rounds with recency_s: null, or bank.index: weaviate"
        )
