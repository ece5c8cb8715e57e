"""The limit `gpu` on a server that restarts and has forgotten who holds its slots, as Prefect's own do."""

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prefect import flow, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from crl.config import from_mapping
from crl.config.compose import compose
from crl.doctor import Situation, examine
from flows.local import prefect_server
from flows.local.prefect_server import PrefectServer
from flows.local.process import Launch, free_port
from flows.prefect import gpu
from flows.prefect.units import run_as_task

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]


class Forgetful(PrefectServer):
    """Keeps leases in memory, which is Prefect's default."""

    def launch(self, port: int) -> Launch:
        launch = super().launch(port)
        kept = {name: value for name, value in launch.environment.items() if not name.endswith("LEASE_STORAGE")}
        return replace(launch, environment=kept)


@pytest.fixture(params=[Forgetful])
def server(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrefectServer]:
    monkeypatch.setattr(gpu, "_QUIET_S", 2.0)
    monkeypatch.setattr(gpu, "_LEASE_S", 600.0)  # a slow machine needs more than a minute to start the server again
    server = request.param(tmp_path / "prefect")
    running = server.start(free_port())  # at 4200 another test's may come between its end and its next start
    prefect_server.send_what_waits()  # a process has one sender of events, which stays with the server that it was made for
    try:
        with temporary_settings({PREFECT_API_URL: f"{running.url}/api"}):
            monkeypatch.setenv("PREFECT_API_URL", f"{running.url}/api")
            yield server
            prefect_server.send_what_waits()  # else it is tried for a minute once the server is gone
    finally:
        server.stop()


async def taken() -> int:
    async with get_client() as client:
        return (await client.read_global_concurrency_limit_by_name(gpu.GPU)).active_slots


def restart(server: PrefectServer) -> None:
    """Killed, and started again at the same port."""
    before = server.current()
    port = urlsplit(before.url).port
    before.kill()
    while free_port(port) != port:
        time.sleep(0.1)
    assert server.start(port).url == before.url


async def until(wanted: int) -> None:
    async with asyncio.timeout(60):
        while await taken() != wanted:
            await asyncio.sleep(0.2)


@flow(name="holds", persist_result=False)
async def holds(ending: asyncio.Event) -> None:
    await run_as_task("update-actor", ending.wait)


@flow(name="dies", persist_result=False)
async def dies() -> None:
    """Takes a slot and ends without giving it back, as when its process is killed."""
    granted = await gpu._granted()
    gpu._tell("acquired", str(granted.limits[0].id))


async def test_a_slot_whose_holder_has_ended_is_freed_and_told_and_a_living_holder_keeps_its_own(
    server: PrefectServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with get_client() as client:
        await client.upsert_global_concurrency_limit_by_name(gpu.GPU, 2)
    ending, waited = asyncio.Event(), asyncio.Event()
    living = asyncio.create_task(holds(ending))
    await until(1)
    await dies()
    assert await taken() == 2
    async with asyncio.timeout(60):  # events are on their way for a while, and a kill loses those that have not arrived
        while len((await asyncio.to_thread(gpu._read)).holders) < 2:
            await asyncio.sleep(0.2)
    await asyncio.to_thread(restart, server)
    assert await taken() == 2  # and nobody's lease is known any more

    [warned] = await asyncio.to_thread(gpu_findings)
    assert "1 of 2 taken slots of the limit gpu were held by runs that have ended" in warned.seen
    assert warned.remedy.endswith("--active-slots 1")

    logging.getLogger("prefect.task_runs").addHandler(caplog.handler)
    waiting = asyncio.create_task(holds(waited))
    async with asyncio.timeout(60):
        while "1 of Prefect's slots of `gpu` were held by runs that have ended" not in caplog.text:
            await asyncio.sleep(0.2)
    await until(2)  # the living one's, and that of the run that waited
    assert not living.done()
    waited.set()
    await waiting
    await until(1)
    ending.set()
    await living
    await until(0)  # its lease was forgotten, and its slot is given back all the same


@pytest.mark.parametrize("server", [PrefectServer], indirect=True)
async def test_a_server_of_ours_still_knows_after_a_restart_who_holds_a_slot(server: PrefectServer) -> None:
    await gpu.ensure_gpu_limit()
    granted = await gpu._granted()
    await asyncio.to_thread(restart, server)
    async with get_client() as client:
        await client.renew_concurrency_lease(granted.lease_id, 60)  # a forgotten one is 410, Gone
        await client.release_concurrency_slots_with_lease(granted.lease_id)
    assert await taken() == 0


def gpu_findings() -> list:
    situation = Situation(from_mapping(compose("quick")), os.environ, deadline_s=60)
    return [finding for finding in examine(situation, ["prefect"]) if finding.status == "warn"]
