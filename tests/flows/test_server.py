"""The checkout's Prefect server: one for all, found by its users, gone when they are."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.local import prefect_server, process
from flows.local.fleet import Fleet
from tests.doctor.conftest import serving
from tests.marked import has_ended
from tests.waiting import until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def no_configured_api(monkeypatch, tmp_path):
    """A user without any Prefect settings, whatever this machine or other tests have set."""
    monkeypatch.setattr(prefect_server, "configured_api", lambda: None)
    monkeypatch.delenv("CRL_PREFECT", raising=False)
    return tmp_path / "home"


@contextlib.contextmanager
def configured(address: str):
    with temporary_settings({PREFECT_API_URL: address}):
        yield


def test_a_configured_address_is_used_and_nothing_is_started(tmp_path):
    with (
        serving(lambda *_: (200, {})) as team,
        configured(f"{team}/api"),
        prefect_server.running(tmp_path / "home") as api,
    ):
        assert api == f"{team}/api"
    assert not (tmp_path / "home").exists()


def test_an_address_where_nobody_answers_is_a_sentence_before_anything_starts(monkeypatch, tmp_path):
    monkeypatch.setattr(prefect_server, "_PAUSE_S", 0.0)
    began = False
    with (
        configured(f"http://someone:secret@127.0.0.1:{process.free_port()}/api"),
        pytest.raises(prefect_server.PrefectUnreachable, match="Remedy: start that server") as told,
        prefect_server.running(tmp_path / "home"),
    ):
        began = True
    assert not began
    assert "secret" not in str(told.value)


def test_a_server_that_is_lost_on_the_way_is_a_sentence_too(tmp_path):
    with (
        serving(lambda *_: (200, {})) as team,
        configured(f"{team}/api"),
        pytest.raises(prefect_server.PrefectUnreachable, match=team),
        prefect_server.running(tmp_path / "home"),
    ):
        raise httpx.ConnectError("refused", request=httpx.Request("POST", f"{team}/api/flow_runs"))


def test_ephemeral_is_prefects_own_business(no_configured_api, monkeypatch):
    monkeypatch.setenv("CRL_PREFECT", "ephemeral")
    with prefect_server.running(no_configured_api) as api:
        assert api is None
    assert not no_configured_api.exists()


def test_a_start_for_good_that_failed_keeps_no_later_server_running(no_configured_api, monkeypatch):
    server = prefect_server.PrefectServer(no_configured_api)
    failing = process.Launch([sys.executable, "-c", "raise SystemExit('no server')"])
    monkeypatch.setattr(server, "launch", lambda port: failing)
    with pytest.raises(RuntimeError, match="no server"):
        server.start()
    assert not (server.home / "crl-server.kept").exists()


@pytest.mark.slow
def test_users_share_one_server_on_a_free_port_and_the_last_one_stops_it(no_configured_api, monkeypatch):
    server = prefect_server.PrefectServer(no_configured_api)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(prefect_server.PrefectServer, "port", taken.getsockname()[1])
        with prefect_server.running(server.home) as api:
            first = server.current()
            assert api == f"{first.url}/api" != f"http://127.0.0.1:{taken.getsockname()[1]}/api"
            assert os.environ["PREFECT_API_URL"] == api
            other = (server.home / "users.lock").open("w")  # another user
            fcntl.flock(other, fcntl.LOCK_SH)
        assert server.current() == first
        other.close()  # as at the end of its process
        with prefect_server.running(server.home) as api:
            assert api == f"{first.url}/api"
    assert server.current() is None
    assert has_ended(first.pid)


@pytest.mark.slow
def test_a_server_of_another_checkout_that_took_the_port_first_is_not_mistaken_for_ours(no_configured_api, monkeypatch):
    with serving(lambda *_: (200, {})) as other:
        original, offered = process.free_port, [urlsplit(other).port]
        monkeypatch.setattr(process, "free_port", lambda wanted: offered.pop() if offered else original(wanted))
        server = prefect_server.PrefectServer(no_configured_api)
        ours = server.start()
    assert answers(ours, "/api/health")
    assert ours.url != other
    assert server.stop()


def test_status_and_stop_say_so_where_no_server_runs(tmp_path):
    for command, code, said in (("status", 1, "off"), ("stop", 0, "did not run")):
        argv = [sys.executable, "-m", "flows.local", command, "prefect"]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert said in done.stdout


@pytest.mark.slow
def test_a_command_has_a_server_for_its_time(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in ("PREFECT_API_URL", "CRL_PREFECT")}
    environment |= {"PYTHONPATH": str(ROOT), "PREFECT_HOME": str(tmp_path)}  # a user without settings of their own
    command = (
        "import os; from flows.local.prefect_server import PrefectServer; ours = PrefectServer().current();"
        "print(ours.pid, os.environ['PREFECT_API_URL'] == f'{ours.url}/api'); raise SystemExit(7)"
    )
    argv = [sys.executable, "-m", "flows.local", "run", "--", sys.executable, "-c", command]
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    pid, exported = done.stdout.split()
    assert exported == "True"
    assert prefect_server.PrefectServer(tmp_path / ".prefect").current() is None  # it is gone again
    assert has_ended(int(pid))
    assert (tmp_path / ".prefect/prefect.log").is_file()


USER = """
import sys, time
from flows.local import prefect_server
from flows.local.command import command
from flows.local.process import Launch

class Server(prefect_server.PrefectServer):  # a file server stands in for Prefect's, which takes seconds to start
    health = "/"
    port = 0  # any free one: at 4200 a server of another test may answer as soon as this one is gone

    def launch(self, port):
        stand_in = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
        return Launch([*super().launch(port).argv[:4], *stand_in])

@command()
def main():
    if len(sys.argv) > 1:
        Server().start()
    with Server().used():
        print("uses it", flush=True)
        time.sleep(600)

sys.exit(main())
"""


@contextlib.contextmanager
def user(folder: Path, *arguments: str):
    """A process that uses the folder's server."""
    with subprocess.Popen(
        [sys.executable, "-c", USER, *arguments], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as started:  # fmt: skip
        try:
            assert started.stdout.readline() == "uses it\n", started.stderr.read()
            yield started
        finally:
            started.kill()


def answers(running: process.Running, health: str = "/") -> bool:
    return process.http_ok(f"{running.url}{health}", timeout_s=60)


def ends(running: process.Running) -> None:
    """Wait for the end of the server and of its record."""
    until(lambda: not answers(running) and prefect_server.PrefectServer().started() is None, "the server has ended")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)], ids=["TERM", "KILL"])
def test_the_server_goes_with_its_last_user_however_that_ends(tmp_path, monkeypatch, number, code):
    monkeypatch.chdir(tmp_path)
    with user(tmp_path) as first, user(tmp_path) as last:
        server = prefect_server.PrefectServer().current()
        first.send_signal(number)
        assert first.wait(60) == code
        time.sleep(1.5)  # the keeper has looked
        assert answers(server)  # the other one uses it
        last.send_signal(number)
        assert last.wait(60) == code
        ends(server)


def test_a_server_that_was_started_for_good_outlives_a_user_that_is_killed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with user(tmp_path, "for good") as only:
        server = prefect_server.PrefectServer().current()
        only.kill()
        only.wait(60)
    try:
        time.sleep(1.5)  # the keeper has looked
        assert answers(server)
    finally:
        assert prefect_server.PrefectServer().stop()
    ends(server)


@pytest.mark.slow
def test_a_start_by_hand_keeps_the_server_that_a_run_had_started(tmp_path, monkeypatch, no_configured_api):
    monkeypatch.chdir(tmp_path)
    with prefect_server.running():
        assert [standing.state for standing in Fleet(("prefect",), tmp_path / ".servers").start()] == ["runs"]
    try:
        assert answers(prefect_server.PrefectServer().current())
    finally:
        assert prefect_server.PrefectServer().stop()
