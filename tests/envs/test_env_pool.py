"""The pool: same episodes wherever they run, and failures that stay where they happen."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection

import pytest

from crl.config.play import EnvsConfig
from crl.envs.errors import EnvCrash, EnvError, EnvTimeout
from crl.envs.hosting import host as hosting
from crl.envs.hosting import process
from crl.envs.hosting.pool import EnvPool
from crl.errors import ConfigError
from crl.seeding import stream
from crl.types import Task
from tests.envs import toy_envs
from tests.envs.minihack_players import KEYROOM, MAZE, ROOM, task
from tests.envs.workers import newest_workers
from tests.marked import has_ended
from tests.waiting import until

TOY = "tests.envs.toy_envs:Corridor"


def toy(seed: int = 1, level: str = "trouble") -> Task:
    return Task(f"toy/{seed}", "toy", TOY, level, seed, 1000)


def pool_of(workers: int, call_timeout_s: float = 30.0) -> EnvPool:
    return EnvPool(EnvsConfig(observation="slots", workers=workers, call_timeout_s=call_timeout_s))


async def transcript(pool: EnvPool, played: Task) -> list[str]:
    slot, observation = await pool.reset(played)
    rng, texts = stream("pool", played.seed), [observation.text]
    while True:
        result = await pool.step(slot, observation.actions[int(rng.integers(len(observation.actions)))])
        observation = result.observation
        texts.append(observation.text)
        if result.done:
            pool.release(slot)
            return texts


async def test_episodes_are_the_same_in_this_process_and_in_any_worker():
    tasks = [task(level, seed, 25) for seed in range(5) for level in (ROOM, MAZE, KEYROOM)]
    runs = []
    for workers in (0, 1, 2):
        with pool_of(workers) as pool:
            runs.append(await asyncio.gather(*(transcript(pool, played) for played in tasks)))
    assert runs[0] == runs[1] == runs[2]


async def test_a_killed_worker_takes_only_its_own_episodes_and_is_replaced():
    with pool_of(2) as pool:
        slots = [slot for slot, _ in await asyncio.gather(*(pool.reset(toy(seed)) for seed in range(6)))]
        pids = newest_workers(2)
        os.kill(pids[0], signal.SIGKILL)
        outcomes = await asyncio.gather(*(pool.step(slot, "left") for slot in slots), return_exceptions=True)
        lost = [slot for slot, outcome in zip(slots, outcomes, strict=True) if isinstance(outcome, EnvCrash)]
        assert len(lost) == 3
        with pytest.raises(EnvCrash, match="lost with its worker"):
            await pool.step(lost[0], "left")
        for slot in slots:
            if slot not in lost:
                assert (await pool.step(slot, "left")).observation.text.startswith("at -2")
        for slot in lost:
            pool.release(slot)
        again = await asyncio.gather(*(pool.reset(toy(seed)) for seed in range(4)))
        assert len(again) == 4
        assert [has_ended(pid) for pid in pids] == [True, False]
        assert newest_workers(1)[0] not in pids


async def test_a_hanging_call_times_out_and_its_worker_is_replaced():
    with pool_of(2, call_timeout_s=2.0) as pool:
        slots = [slot for slot, _ in await asyncio.gather(*(pool.reset(toy(seed)) for seed in range(4)))]
        actions = ["hang", "left", "left", "left"]
        steps = (pool.step(slot, action) for slot, action in zip(slots, actions, strict=True))
        hung, *others = await asyncio.gather(*steps, return_exceptions=True)
        assert isinstance(hung, EnvTimeout)
        assert sum(isinstance(other, EnvCrash) for other in others) == 1  # the episode that shared the worker
        assert sum(not isinstance(other, Exception) for other in others) == 2
        slot, _ = await pool.reset(toy())
        assert (await pool.step(slot, "right")).valid


async def test_many_slow_calls_in_one_message_are_no_hang():
    """The clock runs per call: twenty naps take twice as long together as one call may."""
    with pool_of(1, call_timeout_s=2.0) as pool:
        slots = [slot for slot, _ in await asyncio.gather(*(pool.reset(toy(seed)) for seed in range(20)))]
        naps = await asyncio.gather(*(pool.step(slot, "doze") for slot in slots))
        assert all(nap.valid for nap in naps)


async def test_importing_a_family_is_no_hang_also_where_the_worker_has_played_another():
    slow = Task("slow/1", "slow", "tests.envs.slow_to_import:SlowlyImported", "plain", 1, 1000)
    with pool_of(1, call_timeout_s=1.5) as pool:
        await pool.reset(toy())
        slot, _ = await pool.reset(slow)
        assert (await pool.step(slot, "left")).valid


async def test_an_import_without_end_is_told_as_one(monkeypatch):
    slow = Task("slow/1", "slow", "tests.envs.slow_to_import:SlowlyImported", "plain", 1, 1000)
    with pool_of(1, call_timeout_s=0.8) as pool:
        await pool.reset(toy())
        monkeypatch.setattr(process, "_START_WAIT_S", 1.0)  # only now: the worker itself may take longer to start
        with pytest.raises(EnvTimeout, match="took longer than 1 s to import"):
            await pool.reset(slow)


async def test_calls_of_one_loop_iteration_travel_as_one_message(monkeypatch):
    sizes, send = [], Connection.send
    monkeypatch.setattr(Connection, "send", lambda self, batch: (sizes.append(len(batch)), send(self, batch)))
    with pool_of(1) as pool:
        slots = [slot for slot, _ in await asyncio.gather(*(pool.reset(toy(seed, "plain")) for seed in range(32)))]
        await asyncio.gather(*(pool.step(slot, "left") for slot in slots))
        for slot in slots[:8]:
            pool.release(slot)
        await pool.step(slots[-1], "left")
    assert sizes == [32, 32, 9]


async def test_an_exception_in_an_environment_is_a_typed_crash_of_that_episode_only():
    for workers in (0, 1):
        with pool_of(workers) as pool:
            (one, _), (other, _) = await asyncio.gather(pool.reset(toy(1)), pool.reset(toy(2)))
            with pytest.raises(EnvCrash, match="ZeroDivisionError: planted"):
                await pool.step(one, "crash")
            assert (await pool.step(other, "left")).valid
            with pytest.raises(EnvError, match="plays no episode"):
                await pool.step(one, "left")


async def test_an_environment_that_ends_its_process_is_a_crash():
    with pool_of(1) as pool:
        slot, _ = await pool.reset(toy())
        with pytest.raises(EnvCrash, match="died"):
            await pool.step(slot, "die")
        pool.release(slot)
        await pool.reset(toy())


async def test_a_level_or_family_that_cannot_be_built_says_so_through_the_pool():
    for workers in (0, 1):
        with pool_of(workers) as pool:
            with pytest.raises(EnvError, match="cannot be built"):
                await pool.reset(toy(level="broken"))
            with pytest.raises(ConfigError, match="no such environment family"):
                await pool.reset(Task("x", "x", "nowhere", "x", 0, 1))
            await pool.reset(toy())


async def test_a_caller_that_gives_up_leaves_the_pool_working():
    with pool_of(1) as pool:
        slot, _ = await pool.reset(toy())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await pool.step(slot, "left")
        pool.release(slot)
        slot, observation = await pool.reset(toy())
        assert observation.text.startswith("at 0")


async def test_closing_the_pool_ends_the_calls_that_wait():
    pool = pool_of(1)
    slot, _ = await pool.reset(toy())
    waiting = asyncio.create_task(pool.step(slot, "hang"))
    await asyncio.sleep(0.1)
    pool.close()
    with pytest.raises(EnvCrash, match="closed"):
        await waiting


def test_a_pool_serves_one_event_loop_after_another():
    with pool_of(1) as pool:
        first = asyncio.run(transcript(pool, task(ROOM, 1)))
        assert asyncio.run(transcript(pool, task(ROOM, 1))) == first


async def test_no_engine_folder_outlives_a_killed_worker(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pool_of(1) as pool:
        await pool.reset(task(ROOM, 0))
        (folder,) = tmp_path.iterdir()
        assert any(path.name.startswith("nle") for path in folder.iterdir())
        os.kill(newest_workers(1)[0], signal.SIGKILL)
        with pytest.raises(EnvCrash):
            await pool.reset(task(ROOM, 1))
    assert list(tmp_path.iterdir()) == []


_PARENT = f"""
import asyncio, sys
from crl.config.play import EnvsConfig
from crl.envs.hosting.pool import EnvPool
from crl.types import Task
from tests.envs.workers import newest_workers

async def main():
    pool = EnvPool(EnvsConfig(observation="slots", workers=1))
    slot, _ = await pool.reset(Task("toy", "toy", "{TOY}", "trouble", 1, 10))
    asyncio.get_running_loop().create_task(pool.step(slot, "hang"))
    await asyncio.sleep(0.2)
    print(*newest_workers(1), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_a_hung_worker_does_not_outlive_its_killed_parent(tmp_path):
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True, env=environment)
    worker = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    until(lambda: has_ended(worker), "the worker has left")
    assert list(tmp_path.iterdir()) == []


def test_idle_environments_make_room_and_are_reused(monkeypatch):
    opened, closed = [], []
    monkeypatch.setattr(toy_envs.Corridor, "__init__", lambda self, observation: opened.append(self))
    monkeypatch.setattr(toy_envs.Corridor, "close", lambda self: closed.append(self))
    monkeypatch.setattr(hosting, "MAX_OPEN", 2)
    host = hosting.EnvHost(EnvsConfig(observation="grid"))
    for slot, level in enumerate(("one", "two", "three")):
        host.reset(slot, toy(level=level))
        host.release(slot)
    one, two, three = opened
    assert closed == [one]
    host.reset(3, toy(level="two"))  # played in the environment that was opened for it
    assert (len(opened), closed) == (3, [one])
    host.close()
    assert closed == [one, two, three]
