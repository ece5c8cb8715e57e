"""Runs of deployments on a real server and worker: what dies is seen, what is cancelled ends, what is retried goes on."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
import yaml
from prefect.states import AwaitingRetry, Cancelling
from typer.testing import CliRunner

from flows.prefect import automations
from tests.prefect_checkout import ROUNDS, Team, kill_session, make_folder, served, until

CANCELLING_S = 60  # a worker on a busy machine was seen to take 23 s; the server is to end only what no worker ends
SILENT_S = 90  # three times as long as a living run is silent between two heartbeats, so that it is never called dead
APPLY = ("flows.prefect.automations", "apply", "--silent-s", str(SILENT_S), "--cancelling-s", str(CANCELLING_S))

pytestmark = pytest.mark.timeout(1800)  # many processes start one after the other


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with served(make_folder(tmp_path_factory.mktemp("team"))) as made:
        made.call("flows.prefect.deploy")
        made.call(*APPLY)
        yield made


@pytest.fixture(scope="module")
def dead(team: Team) -> list[UUID]:
    """Two running runs whose worker and processes were killed at once, as when a machine goes away."""
    return asyncio.run(kill_two(team))


async def kill_two(team: Team) -> list[UUID]:
    worker = team.worker()
    runs = [await team.start("hold/hold") for _ in range(2)]
    try:
        for run in runs:
            await until(f"{run} sent a heartbeat", lambda run=run: heartbeats(team, run) > 0)
    finally:
        kill_session(worker, signal.SIGKILL)
        team.kill_all()
    await team.set_state(runs[1], Cancelling())  # somebody presses `Cancel`, and no worker hears it
    return runs


def heartbeats(team: Team, run: UUID) -> int:
    wanted = {"event": {"name": ["prefect.flow-run.heartbeat"]}, "resource": {"id": [f"prefect.flow-run.{run}"]}}
    answer = httpx.post(f"{team.url}/api/events/filter", json={"filter": wanted}, timeout=60)
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # its database is locked
        return 0
    return answer.raise_for_status().json()["total"]


@pytest.fixture
async def worker(team: Team, dead: list[UUID]) -> AsyncIterator[subprocess.Popen]:
    process = team.worker()
    yield process
    kill_session(process)


async def test_everything_is_deployed_with_limits_and_a_repeat_changes_nothing(team: Team):
    async with team.client() as client:
        deployments = {deployment.name: deployment for deployment in await client.read_deployments()}
        pool = await client.read_work_pool("local")
        gpu = await client.read_global_concurrency_limit_by_name("gpu")
    named = yaml.safe_load((team.folder / "prefect.yaml").read_text())["deployments"]
    assert set(deployments) == {deployment["name"] for deployment in named}
    assert deployments["pipeline"].concurrency_options.collision_strategy == "ENQUEUE"
    assert deployments["co_evolve"].concurrency_options.collision_strategy == "CANCEL_NEW"
    assert (pool.type, pool.concurrency_limit, gpu.limit) == ("process", 2, 1)
    again = team.call(*APPLY)
    assert [line.split()[0] for line in again.splitlines() if line] == ["unchanged", "unchanged"]


async def test_killed_and_cancelled_runs_leave_nothing_behind_and_a_retry_goes_on(team: Team, worker, docker_host):
    run = await team.start("pipeline/pipeline", stages=["co_evolve"])
    await until("two rounds are done", lambda: len(team.rounds()) >= 2)
    assert is_there(docker_host, team.container())
    team.kill_all("prefect.engine")
    await team.reaches(run, "Crashed")  # the worker lives, and reports it
    await until("no process is left", lambda: not team.processes())
    await until("its container is removed", lambda: not is_there(docker_host, team.container()))

    # Prefect looks at a dead process twice, seconds apart, and the second look would crash a run that is started again between.
    log = team.folder / "worker.log"
    await until("the worker looked twice", lambda: log.read_text().count("- Check whether the flow run exceeded") >= 2)
    known = len(team.rounds())
    await team.set_state(run, AwaitingRetry())
    await until("it goes on", lambda: len(team.rounds()) >= known + 2)
    await team.set_state(run, Cancelling())
    await team.reaches(run, "Cancelled")
    assert not team.processes()
    await until("its container is removed", lambda: not is_there(docker_host, team.container()))
    assert (await stage_states(team, run))[-1] == "Cancelled"
    assert len(team.rounds()) < ROUNDS

    # The worker says so of a run once more after its process is gone, and would cancel one that is started again between.
    await until("the worker is done with it", lambda: "Cancelled flow run" in log.read_text())
    await team.set_state(run, AwaitingRetry())
    await team.reaches(run, "Completed")
    assert team.rounds() == [str(round_) for round_ in range(ROUNDS)]  # each once
    assert (await stage_states(team, run))[-1] == "Completed"


async def test_runs_whose_machine_is_gone_are_crashed_or_cancelled_by_the_server(team: Team, dead: list[UUID]):
    crashed = await team.reaches(dead[0], "Crashed")
    assert crashed.message == f"no heartbeat for {SILENT_S} s: its process is gone"
    cancelled = await team.reaches(dead[1], "Cancelled")
    assert cancelled.message == f"no worker ended it within {CANCELLING_S} s"


@pytest.fixture
def docker_host() -> str:
    from crl.sandbox import SandboxPool, SandboxUnavailable
    from crl.sandbox.engine import engine
    from tests.sandbox.conftest import SMALL

    pool = SandboxPool(SMALL)
    try:
        pool.take().close()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    finally:
        pool.close()
    return engine().host


def is_there(docker_host: str, container: str) -> bool:
    import docker

    api = docker.APIClient(base_url=docker_host, version="auto")
    return bool(api.containers(all=True, filters={"id": container}))


async def stage_states(team: Team, run: UUID) -> list[str]:
    """Of the stage runs that the pipeline run started, the oldest first."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags

    async with team.client() as client:
        tagged = FlowRunFilter(tags=FlowRunFilterTags(all_=["crl", f"pipeline:{run}"]))
        found = await client.read_flow_runs(flow_run_filter=tagged)
    return [run.state_name for run in sorted(found, key=lambda run: run.created)]


def test_automations_refuse_a_wait_that_prefect_cannot_keep(tmp_path: Path):
    from flows.prefect.automations import automations

    with pytest.raises(ValueError, match="greater than or equal to 10 seconds"):
        automations(silent_s=5)


@pytest.mark.parametrize("seconds", ["nan", "inf", "9"])
def test_a_waiting_time_that_cannot_be_meant_is_refused_before_a_server_is_asked(seconds, monkeypatch):
    monkeypatch.setattr(automations.prefect_server, "running", None)
    refused = CliRunner().invoke(automations.app, ["apply", "--silent-s", seconds])
    assert refused.exit_code == 2
    assert "--silent-s" in refused.output
