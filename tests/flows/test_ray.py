"""`run.task_runner: ray`: shards are played on the nodes of a cluster, and a node may die."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect import flow, get_client, runtime, task
from prefect.cache_policies import NO_CACHE
from safetensors.torch import load_file

from crl.config import Config
from crl.config.compose import composed
from crl.errors import ConfigError
from crl.files import digest_folder
from crl.learn.group import LearnerGroup
from crl.round.coevolution import CoEvolution
from crl.round.hooks import Hooks
from crl.tasks.sets import TaskSets
from crl.tiny.warm_start import warm_start
from crl.types import Completion, Operation, OperationKind, Origin
from flows.local.process import Launch, Running, on_free_port, spawn
from flows.prefect.units import RETRIED, run_as_task
from tests.flows.ray_cluster import SETTINGS, Node, head, worker
from tests.learn.samples import random_batch
from tests.marked import has_ended
from tests.round.runs import SMALL
from tests.waiting import until

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.timeout(1800), pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@dataclass(frozen=True)
class Stand:
    """A cluster of two nodes with one CPU each, and models on servers."""

    config: Config
    base: dict[str, Path]
    hold: Path
    server: Running
    folder: Path
    nodes: list[Node]

    @property
    def second(self) -> Node:
        return self.nodes[-1]

    def replace_second(self) -> None:
        """Kill it, and start another one in its place."""
        self.nodes.pop().kill()
        self.nodes.append(worker(self.folder, int(self.config.servers.ray.split(":")[1])))

    def waiting(self) -> int:
        """Completions of the actor that the hold keeps back."""
        with urllib.request.urlopen(f"{self.server.url}/actor/health", timeout=60) as answer:
            return json.load(answer)["waiting"]


def config_of(ray_port: int, server: str) -> Config:
    changes = [
        "run.schedule=async", "run.task_runner=ray", f"servers.ray=127.0.0.1:{ray_port}", "engine.kind=server",
        f"servers.actor=[{server}/actor]", f"servers.extractor=[{server}/extractor]", "rounds.bank_warmup=0",
        "learn.actor.flat_groups=count",
        "rollout.groups=2", "rollout.shards=2", "rounds.count=2", "envs.workers=1", "warm_start.episodes_per_task=8",
        "warm_start.actor_steps=2", "warm_start.extractor_steps=2",
    ]  # fmt: skip
    return composed("quick", [*SMALL, *changes], ROOT / "conf")


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    pytest.importorskip("prefect_ray", reason="prefect-ray is not installed. Remedy: make cluster")
    folder = Path(
        tempfile.mkdtemp(prefix="crl-ray-", dir="/tmp")
    )  # short: Ray's sockets have paths of 107 bytes at most
    before = {name: os.environ.get(name) for name in SETTINGS}
    os.environ.update(SETTINGS)
    nodes, base = [], {role: folder / "models" / role for role in ("actor", "extractor")}
    hold, server = folder / "hold", None

    def serve(port: int) -> Running:
        arguments = [str(port), "448", str(hold), *(f"{role}={path}" for role, path in base.items())]
        argv = [sys.executable, "-m", "tests.flows.completions_server", *arguments]
        launch = Launch(argv, {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
        return spawn("completions", launch, folder=folder, port=port, health="/actor/health")

    try:
        first, port = head(folder)
        nodes.append(first)
        nodes.append(worker(folder, port))
        models = config_of(port, "http://none:1")
        warm_start(models, TaskSets.generate(models), folder / "models")
        server = on_free_port(serve)
        yield Stand(config_of(port, server.url), base, hold, server, folder, nodes)
    finally:
        if server:
            server.stop()
        for node in reversed(nodes):
            node.kill()
        shutil.rmtree(folder, ignore_errors=True)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def test_learners_on_two_nodes_learn_what_one_process_learns_and_a_node_that_dies_changes_no_byte(
    stand: Stand, tmp_path: Path
) -> None:
    from flows.cluster import learners
    from flows.cluster.ray import on_ray
    from tests.flows import ray_learners as there

    alone = there.play(there.config_of(), stand.base, tmp_path / "alone", Hooks())
    with on_ray(stand.config):
        with pytest.raises(ConfigError, match=r"learn\.actor\.workers = 2 .*1 CPU of one node.*2 nodes: .*Remedy"):
            learners.refuse_without_room(there.config_of(2))  # both would be taken, and no shard played
        spread = there.play(there.config_of(2), stand.base, tmp_path / "spread", Hooks(start_crew=learners.CrewOnNodes))
        assert spread["actor/loss"] == pytest.approx(alone["actor/loss"], abs=1e-6)
        assert spread["rollout/success"] == alone["rollout/success"]
        left, right = (there.learned(tmp_path / name) for name in ("alone", "spread"))
        before = load_file(stand.base["actor"] / "model.safetensors")
        assert all((left[key] - right[key]).abs().max() < 2e-5 for key in left)
        assert any((left[key] - before[key]).abs().max() > 2e-5 for key in before)

        group = LearnerGroup(
            there.config_of(2), "actor", str(stand.base["actor"]), learners.CrewOnNodes, tmp_path
        ).ready()
        group.save(tmp_path / "start")
        began = time.monotonic()
        group.update(random_batch(64, 2), steps=16)
        took = time.monotonic() - began
        group.save(tmp_path / "undisturbed")
        group.load(tmp_path / "start")
        pids = group._crew.pids
        killing = threading.Timer(took / 8, stand.replace_second)
        killing.start()
        assert group.update(random_batch(64, 2), steps=16)["worker_restarts"] >= 1
        killing.join()
        group.save(tmp_path / "disturbed")
        pids += group._crew.pids
        group.close()
        assert digest_folder(tmp_path / "disturbed") == digest_folder(tmp_path / "undisturbed")
        until(lambda: all(has_ended(pid) for pid in pids), "all workers have ended")


def test_learners_on_nodes_end_with_a_head_that_is_killed(stand: Stand, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.flows.ray_learners", stand.config.servers.ray, str(stand.base["actor"])]
    with subprocess.Popen([*command, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as head_:
        pids = [int(pid) for pid in head_.stdout.readline().split()]
        assert pids
        assert not any(has_ended(pid) for pid in pids)
        head_.kill()
    until(lambda: all(has_ended(pid) for pid in pids), "the workers have ended")


def teach(co: CoEvolution) -> None:
    """One experience per task, so that guided episodes are shown something."""
    for name in co.config.tasks.mix:
        completion = Completion(f"seed-{name}", (1,), (2,), (0.0,), "", "stop", 0)
        origin = Origin(completion.id, "", 0, "seed")
        operation = Operation(OperationKind.ADD, f"look around in {name}")
        co.parts.bank.apply([operation], scope=name, key_text=name, origin=origin, completion=completion)


@asynccontextmanager
async def opened(stand: Stand, folder: Path, hooks: Hooks) -> AsyncIterator[CoEvolution]:
    tasks = TaskSets.generate(stand.config)
    co = CoEvolution.open(stand.config, folder=folder, tasks=tasks, hooks=hooks, **stand.base)
    try:
        teach(co)
        yield co
    finally:
        await co.close()


async def kill_second_node_in_mid_round(stand: Stand) -> None:
    """Once the episodes of both shards wait for the actor: each of 8, at their first turn."""
    async with asyncio.timeout(300):
        while await asyncio.to_thread(stand.waiting) < 16:
            await asyncio.sleep(0.1)
    stand.second.kill()
    stand.hold.unlink()


def test_a_round_is_played_on_both_nodes_and_goes_on_when_one_dies(stand: Stand, tmp_path: Path) -> None:
    from flows.cluster import shard_player

    seen: list[tuple[float, list]] = []

    @flow(name="probe", persist_result=False)
    async def probe() -> None:
        with shard_player(stand.config) as play_shard:
            await play_on(Hooks(run_as_task, play_shard=play_shard))

    async def play_on(hooks: Hooks) -> None:
        async with opened(stand, tmp_path, hooks) as co:
            assert runtime.flow_run.id
            shown = 0
            for round_ in range(2):
                killing = None
                if round_ == 1:
                    stand.hold.touch()
                    killing = asyncio.create_task(kill_second_node_in_mid_round(stand))
                report = await co.play_round()
                if killing:
                    await killing
                seen.append((report.metrics["rollout/nodes"], list(co.ends)))
                shown += sum(len(end.guidance.entry_ids) for end in co.ends if end.guidance)
                assert report.metrics["retrieve/queries"] == 8  # guided episodes
                assert report.metrics["generate/tokens"] > 0
            await co.finish()
            # Every retrieval is in the ledger once; what the dead node had shown never arrived.
            assert shown > 0
            assert sum(entry.shown for entry in co.parts.bank.entries()) == shown
            assert co.parts.bank.verify() == []
            assert co.parts.actor.version > 0

    asyncio.run(probe())
    assert [nodes for nodes, _ in seen] == [2, 1]
    for round_, (_, ends) in enumerate(seen):
        keys = sorted(str(end.key) for end in ends)
        assert keys == sorted({f"r{round_}.g{group}.e{index}" for group in range(2) for index in range(8)})
        assert all(hasattr(end, "outcome") for end in ends), "an episode was lost with its node"


@task(name="once", cache_policy=NO_CACHE, persist_result=False)
def once(log: str) -> None:
    die(log)


@task(name="again", cache_policy=NO_CACHE, persist_result=False, **RETRIED)
def again(log: str) -> int:
    return die(log, times=1)


@task(name="long", cache_policy=NO_CACHE, persist_result=False)
def long(log: str) -> None:
    die(log, times=0)
    time.sleep(600)


def die(log: str, times: int = 99) -> int:
    """Ends the worker's process when it runs this for the first `times`; returns how often it ran."""
    with open(log, "a") as file:
        file.write("ran\n")
    ran = len(Path(log).read_text().splitlines())
    if ran <= times:
        os._exit(1)
    return ran


def test_ray_runs_twice_only_what_may_be_and_the_server_knows_what_was_lost_or_cancelled(stand: Stand, tmp_path: Path):
    from prefect_ray import RayTaskRunner

    from flows.cluster.ray import end, ray, send

    states = {}

    @flow(name="probe", persist_result=False)
    async def probe() -> None:
        runner = RayTaskRunner(stand.config.servers.ray, {"log_to_driver": False, "logging_level": "WARNING"})
        with runner:
            sent = {one: send(runner, one, {"log": str(tmp_path / one.name)}, num_cpus=1) for one in (once, again)}
            with pytest.raises(ray.exceptions.RayError):
                await asyncio.wrap_future(sent[once].wrapped_future.future())
            assert await (await asyncio.wrap_future(sent[again].wrapped_future.future())).aresult() == 2
            sent[long] = send(runner, long, {"log": str(tmp_path / "long")}, num_cpus=1)
            while not (tmp_path / "long").exists():
                await asyncio.sleep(0.1)
            async with get_client() as client:
                for one in (once, long):
                    await end(sent[one], one, "its worker died")
                    states[one.name] = (await client.read_task_run(sent[one].task_run_id)).state

    asyncio.run(probe())
    assert (tmp_path / "once").read_text() == "ran\n"
    assert {name: (state.name, state.message) for name, state in states.items()} == {
        name: ("Crashed", "its worker died") for name in ("once", "long")
    }
