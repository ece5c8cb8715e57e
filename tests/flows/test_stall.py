"""What is said when nothing moves: in the log, in Prefect's log of the run, and of what is waited for."""

import asyncio
import io
import re
import time

import pytest
from prefect import flow, get_client, runtime
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from rich.console import Console

from crl.cli import progress
from crl.cli.stall import Watchdog, places, waited_for
from crl.config import Config, from_mapping
from crl.config.compose import compose
from crl.episode.clock import Clock
from crl.episode.tally import Tally
from crl.round.state import lineage_id
from crl.types import Outcome
from flows.stage.progress import StageProgress
from tests.episode.test_tally import episode, spec, turn
from tests.waiting import until


class Time:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_it_is_told_at_growing_intervals_until_something_moves_and_that_is_told_too() -> None:
    clock = Time()
    watchdog, told = Watchdog(900.0, clock), []
    for clock.now_s in range(0, 8000, 10):
        moved = (clock.now_s // 10 if clock.now_s < 500 else 50) + (clock.now_s >= 7500)
        if said := watchdog.look(moved, lambda: "waits"):
            told.append((clock.now_s, said))
    assert [at - 500 for at, _ in told] == [900, 1800, 3600, 7000]
    assert told[0][1] == "nothing has moved for 15 min (run.stall_s = 900); waits"
    assert told[-1][1] == "it moves again, after 1.9 h"


def test_what_is_waited_for_names_units_episodes_their_state_and_the_address() -> None:
    tally, clocks = Tally("round 0", [spec(index) for index in range(6)], None), [Clock() for _ in range(5)]
    for index, clock in enumerate(clocks):
        tally.tried(spec(index), clock)
        tally.began(spec(index), "goal", None)
        clock.now = "env_step" if index == 4 else "generate", time.time() - 60 * index
    tally.took(spec(3), turn())
    told = waited_for({"distil-0": 1200.0}, tally.live(), {"distil": "http://b", "generate": "http://a"})
    assert told == (
        "distil-0 runs for 20 min at http://b; 1 episode is in the environment (r0.g0.e4 walk turn 0 for 4 min); 4 episodes are "
        "generating at http://a (r0.g0.e3 walk turn 1 for 3 min, r0.g0.e2 walk turn 0 for 2 min, "
        "r0.g0.e1 walk turn 0 for 60 s, 1 more)"
    )
    tally.ended(episode(4, Outcome.SUCCESS))
    assert len(tally.live()) == 4


def test_where_an_engine_is_is_told(quick: Config) -> None:
    values = compose("quick", ["engine.kind=server", "run.schedule=async", "servers.actor=[http://one:8000]"])
    where = places(from_mapping(values))
    assert where["generate"] == "http://one:8000"
    assert places(quick)["generate"] == "the engine in this process"


async def test_a_stage_that_stands_still_says_so_in_its_log_and_in_prefects(
    prefect_server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LOOK_S", 0.01)
    log, runs = io.StringIO(), []

    @flow(name="probe", persist_result=False)
    async def probe() -> None:
        runs.append(runtime.flow_run.id)
        stage = StageProgress("co_evolve", Console(file=log), whole="rounds", stall_s=0.3)
        async with stage.shown():
            with stage.at("update-actor"):
                await asyncio.to_thread(until, lambda: "update-actor runs for" in log.getvalue(), "it was told")

    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: True}):
        await probe()
        await asyncio.to_thread(APILogHandler().flush)
        async with get_client() as client, asyncio.timeout(60):
            wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=runs))
            while not (
                rows := [row.message for row in await client.read_logs(wanted) if "update-actor" in row.message]
            ):
                await asyncio.sleep(0.1)
    assert rows[0] in log.getvalue().replace("\n", "")
    assert re.search(r"nothing has moved for \d+ s \(run\.stall_s = 0\.3\); update-actor runs for \d+ s", rows[0])


def test_when_a_run_says_that_it_stands_still_is_no_part_of_what_it_is() -> None:
    quick, patient, moved = (
        from_mapping(compose("quick", [change])) for change in ("run.seed=7", "run.stall_s=60", "run.torch_threads=2")
    )
    ids = [lineage_id(config, {}) for config in (quick, patient, moved)]
    assert ids[0] == ids[1] != ids[2]
