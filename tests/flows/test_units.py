"""Units of a round as Prefect task runs."""

import asyncio

import pytest
from prefect import flow, get_client, runtime

from crl.errors import ConfigError, EngineError
from flows.prefect.gpu import GPU, ensure_gpu_limit
from flows.prefect.units import run_as_task

pytestmark = pytest.mark.usefixtures("prefect_server")


async def task_runs(flow_run_id) -> dict[str, object]:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    async with get_client() as client:
        runs = await client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])))
    return {run.name: run for run in runs}


async def play(*units: tuple[str, object], at_once: bool = False):
    """Run units inside a flow; returns (flow run id, values)."""
    seen = []

    @flow(name="probe", persist_result=False)
    async def probe() -> None:
        seen.append(runtime.flow_run.id)
        await ensure_gpu_limit()
        coroutines = [run_as_task(name, work) for name, work in units]
        seen.extend(await asyncio.gather(*coroutines) if at_once else [await one for one in coroutines])

    await probe()
    return seen[0], seen[1:]


async def test_a_unit_returns_its_value_and_its_task_run_bears_its_name():
    async def work() -> dict[str, float]:
        return {"a": 1.0}

    run, values = await play(("rollout-shard-0", work), ("merge", work))
    assert values == [{"a": 1.0}, {"a": 1.0}]
    async with asyncio.timeout(60):  # the server writes task runs in the background
        while not {"rollout-shard-0", "merge"} <= set(await task_runs(run)):
            await asyncio.sleep(0.1)


async def test_a_rollout_lost_to_infrastructure_is_played_again():
    tries = []

    async def work() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise EngineError("the engine was lost")
        return len(tries)

    _, values = await play(("rollout-shard-0", work))
    assert values == [2]


@pytest.mark.parametrize(
    ("name", "error"),
    [("update-actor", EngineError("lost")), ("rollout-shard-0", ConfigError("wrong")), ("commit", OSError())],
)
async def test_updates_commits_and_wrong_parameters_are_not_tried_again(name, error):
    tries = []

    async def work() -> None:
        tries.append(1)
        raise error

    with pytest.raises(type(error)):
        await play((name, work))
    assert tries == [1]


async def test_updates_never_run_at_once_while_other_units_do():
    running, most = {"update": 0, "distil": 0}, {"update": 0, "distil": 0}
    together = asyncio.Barrier(2)

    def work(kind: str):
        async def unit() -> None:
            running[kind] += 1
            most[kind] = max(most[kind], running[kind])
            if kind == "distil":
                await asyncio.wait_for(together.wait(), 60)
            else:
                await asyncio.sleep(0.2)
            running[kind] -= 1

        return unit

    units = [("update-actor", work("update")), ("update-extractor", work("update"))]
    await play(*units, ("distil-0", work("distil")), ("distil-1", work("distil")), at_once=True)
    assert most == {"update": 1, "distil": 2}


async def test_the_gpu_limit_that_a_team_has_set_is_kept():
    async with get_client() as client:
        await client.upsert_global_concurrency_limit_by_name(GPU, 3)
        try:
            await ensure_gpu_limit()
            assert (await client.read_global_concurrency_limit_by_name(GPU)).limit == 3
        finally:
            await client.upsert_global_concurrency_limit_by_name(GPU, 1)
