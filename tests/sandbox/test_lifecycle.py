"""Containers end with their episode, however that ends; what fails is typed and names its remedy."""

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crl.config.sandbox import SandboxConfig
from crl.errors import EnvError
from crl.sandbox import (
    Sandbox,
    SandboxBroken,
    SandboxError,
    SandboxPool,
    SandboxUnavailable,
    container,
    shared_pool,
)
from crl.sandbox.engine import DEFAULT_HOST, Engine, engine
from crl.sandbox.images import resolve
from crl.sandbox.limits import OWNER_LABEL
from crl.sandbox.owner import is_gone, owner_id, sweep
from crl.sandbox.stream import StreamRefused
from tests.sandbox.proxy import Proxy
from tests.waiting import until

pytestmark = pytest.mark.slow

SLEEP = "sleep 119"
OWNER = """
import signal
import sys
from crl.config.sandbox import SandboxConfig
from crl.sandbox import SandboxPool
from crl.sandbox.owner import _reapers

signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background inherits that it is ignored
pool = SandboxPool(SandboxConfig(memory_mb=128, disk_mb=32, processes=64, warm=1))
taken = [pool.take(), pool.take()]
taken[0].run("echo begun")
(reaper,) = _reapers.values()
print(reaper.pid, *(sandbox.id for sandbox in taken), flush=True)
taken[1].run("sleep 600", timeout_s=600)
"""


def containers(owner: str) -> list[dict]:
    return engine().api.containers(all=True, filters={"label": f"{OWNER_LABEL}={owner}"})


def in_its_command(sandbox: Sandbox, act: Callable[[], object]) -> None:
    """Do this as soon as `SLEEP` runs in the container."""

    def watch() -> None:
        until(lambda: SLEEP in str(engine().api.top(sandbox.id)["Processes"]), "the command runs")
        act()

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def owner_process() -> Iterator[tuple[subprocess.Popen, int, str]]:
    """A process that holds two containers and a warm one, its reaper's pid, and its name as an owner."""
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as process:
        try:
            reaper, first, _ = process.stdout.readline().split()
            owner = engine().api.inspect_container(first)["Config"]["Labels"][OWNER_LABEL]
            until(lambda: len(containers(owner)) == 3)
            yield process, int(reaper), owner
        finally:
            process.kill()


def test_a_killed_run_leaves_no_container(pool: SandboxPool) -> None:
    with owner_process() as (process, _, owner):
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: not containers(owner))


def test_an_interrupt_of_the_terminals_group_does_not_reach_the_reaper(pool: SandboxPool) -> None:
    with owner_process() as (process, reaper, owner):
        assert os.getsid(reaper) == reaper
        os.kill(reaper, signal.SIGINT)
        process.send_signal(signal.SIGINT)
        process.wait()
        until(lambda: not containers(owner))


def test_containers_of_a_run_that_died_with_its_reaper_are_swept_by_the_next(pool: SandboxPool) -> None:
    with owner_process() as (process, reaper, owner):
        os.kill(reaper, signal.SIGKILL)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert is_gone(owner)
        sweep(engine())  # which another test's process may have begun before
        until(lambda: not containers(owner))


def test_a_sweep_leaves_the_living_alone(pool: SandboxPool) -> None:
    with owner_process() as (_, _, owner):
        sweep(engine())
        assert len(containers(owner)) == 3
    machine, pid, started = owner_id().rsplit(".", 2)
    assert not is_gone(owner_id())
    assert is_gone(f"{machine}.{pid}.{int(started) - 1}")  # the number was given to another process since
    assert not is_gone(f"another-boot.1.{pid}.1")  # on another machine: not ours to judge


def test_a_container_killed_from_outside_costs_one_episode(pool: SandboxPool) -> None:
    sandbox = pool.take()
    in_its_command(sandbox, lambda: engine().api.kill(sandbox.id))
    with pytest.raises(SandboxError, match=r"ended under the episode.*Remedy") as error:
        sandbox.run(SLEEP, timeout_s=120)
    assert not isinstance(error.value, SandboxBroken | SandboxUnavailable)
    with pytest.raises(SandboxError, match="ended under the episode"):
        sandbox.run("true")
    sandbox.close()
    other = pool.take()
    assert other.run("echo on").output == "on\n"
    other.close()


@pytest.mark.parametrize(("killed", "says"), [(True, "ended under the episode"), (False, "Docker engine.* 500")])
def test_an_engine_that_answers_500_while_it_removes_a_container_tells_of_the_container(
    pool: SandboxPool, monkeypatch: pytest.MonkeyPatch, killed: bool, says: str
) -> None:
    sandbox = pool.take()

    def refused(*_: object) -> None:
        if killed:
            engine().api.kill(sandbox.id)
        raise StreamRefused(500, "Container is not running: Removal In Progress")

    monkeypatch.setattr(container, "Stream", refused)
    with pytest.raises(SandboxError, match=says):
        sandbox.run("true")
    monkeypatch.undo()
    sandbox.close()


def test_a_container_killed_in_the_stock_is_never_handed_out(small: SandboxConfig, pool: SandboxPool) -> None:
    warm = SandboxPool(small.model_copy(update={"warm": 1}))
    try:
        warm.take().close()
        until(lambda: len(warm._stock) == 1)
        stocked, _ = warm._stock[0]
        engine().api.kill(stocked.id)
        taken = warm.take()
        assert taken.id != stocked.id
        assert taken.run("echo on").output == "on\n"
    finally:
        warm.close()


def test_the_stock_serves_and_is_filled_again(small: SandboxConfig, pool: SandboxPool) -> None:
    warm = SandboxPool(small.model_copy(update={"warm": 2}))
    try:
        seen = {warm.take().id}
        for _ in range(3):
            until(lambda: len(warm._stock) == 2)
            stocked = {sandbox.id for sandbox, _ in warm._stock}
            taken = warm.take()
            assert taken.id in stocked - seen  # started ahead, and never a second time
            seen.add(taken.id)
    finally:
        warm.close()
    assert not {c["Id"] for c in containers(owner_id())} & (seen | stocked)


def test_a_container_ends_by_itself_after_the_episode_time(
    small: SandboxConfig, pool: SandboxPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last wall: with the run, its reaper and every later run gone."""
    monkeypatch.setattr("crl.sandbox.limits.STOCK_LIFE_S", 0.0)
    brief = SandboxPool(small.model_copy(update={"episode_timeout_s": 2.0}))
    sandbox = brief.take()
    until(lambda: sandbox.id not in {c["Id"] for c in containers(owner_id())})
    with pytest.raises(SandboxError):
        sandbox.run("true")
    brief.close()


def test_closing_is_idempotent_and_final(pool: SandboxPool) -> None:
    sandbox = pool.take()
    sandbox.close()
    sandbox.close()
    assert not sandbox.running()
    with pytest.raises(SandboxError):
        sandbox.run("true")


def test_one_pool_per_process_and_configuration(small: SandboxConfig) -> None:
    assert shared_pool(small) is shared_pool(small.model_copy())
    assert shared_pool(small) is not shared_pool(small.model_copy(update={"warm": 3}))


@pytest.mark.parametrize("host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:9", "ssh://somewhere"])
def test_without_an_engine_the_remedy_is_told(small: SandboxConfig, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(SandboxUnavailable, match=f"{host}.*Remedy: ") as error:
        SandboxPool(small).take()
    assert isinstance(error.value, EnvError)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)  # it travels from worker to parent


def test_without_the_image_the_remedy_is_told(pool: SandboxPool) -> None:
    with pytest.raises(SandboxUnavailable, match=r"'crl/none:such'.*Remedy: docker/swe-base/build\.sh"):
        pool.take("crl/none:such")


def test_a_tag_that_moves_changes_nothing_for_a_run(small: SandboxConfig, pool: SandboxPool) -> None:
    api, tag = engine().api, f"crl/moving:{os.getpid()}"
    api.tag(small.image, *tag.split(":"))
    one = SandboxPool(small)
    try:
        before = one.take(tag)
        changed = api.commit(before.id, *tag.split(":"), conf={"Labels": {"crl.test": "moved"}})["Id"]
        assert resolve(engine(), tag) == changed != before.image
        assert one.take(tag).image == before.image
        assert one.take(before.image).image == before.image
    finally:
        one.close()
        api.remove_image(tag)


def test_an_engine_lost_under_a_command_costs_one_episode(
    small: SandboxConfig, pool: SandboxPool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = engine().host if engine().host.startswith("unix://") else DEFAULT_HOST
    proxy = Proxy(tmp_path / "docker.sock", target.removeprefix("unix://"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    behind = SandboxPool(small)
    sandbox = behind.take()
    assert sandbox.run("echo up").output == "up\n"

    in_its_command(sandbox, proxy.cut)
    with pytest.raises(SandboxError, match=r"was lost.*Remedy"):
        sandbox.run(SLEEP, timeout_s=120)
    with pytest.raises(SandboxUnavailable, match="Remedy"):
        behind.take()
    sandbox.close()  # an episode that ends after its engine: no second error

    proxy.up = True  # the engine is back
    assert sandbox.running()
    again = behind.take()
    assert again.run("echo on").output == "on\n"
    behind.close()
    assert not sandbox.running()  # what could not be removed then is removed now


def test_an_engine_that_stops_answering_is_told_from_a_slow_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A socket that accepts and never answers."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "docker.sock"))
        server.listen()
        monkeypatch.setattr("crl.sandbox.engine.API_TIMEOUT_S", 1.0)
        with pytest.raises(SandboxUnavailable, match="no Docker engine answers"):
            _ = Engine(f"unix://{tmp_path}/docker.sock").api


def test_quick_edits_of_equal_size_run_the_newest_code(sandbox: Sandbox):
    steps = "".join(f"echo 'x = {digit}' > m.py; python3 -c 'import m; print(m.x)'; " for digit in range(9))
    assert sandbox.run(f"cd /tmp; {steps}").output.split() == [str(digit) for digit in range(9)]
