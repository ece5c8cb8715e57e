"""The checkout's Prefect server: one for all, found by its users, gone when they are."""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from flows.local import prefect_server, process
from tests.doctor.conftest import serving

ROOT = Path(__file__).parents[2]


@pytest.fixture
def no_configured_api(monkeypatch, tmp_path):
    """A user without any Prefect settings, whatever this machine or other tests have set."""
    monkeypatch.setattr(prefect_server, "configured_api", lambda: None)
    monkeypatch.delenv("CRL_PREFECT", raising=False)
    return tmp_path / "home"


def test_a_configured_address_is_used_and_nothing_is_started(monkeypatch, tmp_path):
    monkeypatch.setattr(prefect_server, "configured_api", lambda: "http://team.example.org/api")
    with prefect_server.running(tmp_path / "home") as api:
        assert api == "http://team.example.org/api"
    assert not (tmp_path / "home").exists()


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
    assert not psutil.pid_exists(first.pid) or psutil.Process(first.pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_a_server_of_another_checkout_that_took_the_port_first_is_not_mistaken_for_ours(no_configured_api, monkeypatch):
    with serving(lambda *_: (200, {})) as other:
        original, offered = process.free_port, [urlsplit(other).port]
        monkeypatch.setattr(process, "free_port", lambda wanted: offered.pop() if offered else original(wanted))
        server = prefect_server.PrefectServer(no_configured_api)
        ours = server.start()
    assert process.http_ok(f"{ours.url}/api/health")
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
    command = "import os; print(os.environ['PREFECT_API_URL']); raise SystemExit(7)"
    argv = [sys.executable, "-m", "flows.local", "run", "--", sys.executable, "-c", command]
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    assert not process.http_ok(f"{done.stdout.strip()}/health")  # it is gone again
    assert (tmp_path / ".prefect/prefect.log").is_file()
