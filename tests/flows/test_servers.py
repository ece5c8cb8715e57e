"""`python -m flows.local`: real Weaviate, Prefect and MLflow servers, started, found, lost, restarted and stopped."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

import crl.engine.vllm.serve as vllm_serve
from flows.local.fleet import Fleet
from flows.local.process import Launch, Running, Unanswered, free_port, http_ok, on_free_port, spawn
from flows.local.server import LocalServer
from tests.doctor.conftest import serving
from tests.marked import has_ended

ROOT = Path(__file__).parents[2]
REAL = ("weaviate", "prefect", "mlflow")


def program() -> str:
    found = os.environ.get("CRL_WEAVIATE_BINARY") or ROOT / ".servers/bin/weaviate-server"
    if not os.access(found, os.X_OK):
        pytest.skip("no Weaviate server program. Remedy: docker/weaviate.sh builds it")
    return str(found)


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return python(folder, "-m", "flows.local", *arguments)


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """As in a shell where no server is configured."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CRL_WEAVIATE_BINARY": program(), "COLUMNS": "160"}
    environment.pop("PREFECT_API_URL", None)
    argv = [sys.executable, *arguments]
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def answers(url: str) -> bool:
    return http_ok(url, timeout_s=60)


def found_api(folder: Path) -> str:
    """The Prefect API that a stage started there would use."""
    told = python(folder, "-c", "from flows.local.prefect_server import found_api; print(found_api())")
    return told.stdout.strip()


def sourced(folder: Path) -> dict[str, str]:
    """The variables that a shell has after sourcing the file."""
    text = subprocess.check_output(["bash", "-c", "set -a; . .servers/env; env -0"], cwd=folder, env={}, text=True)
    return dict(line.split("=", 1) for line in text.split("\0") if "=" in line)


@pytest.mark.slow
def test_the_life_of_real_servers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the state of a checkout lies in it
    monkeypatch.setenv("CRL_WEAVIATE_BINARY", program())
    try:
        started = command(tmp_path, "start", *REAL)
        assert started.returncode == 0, started.stdout + started.stderr
        variables = sourced(tmp_path)
        weaviate = urlsplit(variables["CRL_WEAVIATE_URL"])
        assert answers(f"http://{weaviate.netloc}/v1/meta")
        socket.create_connection((weaviate.hostname, int(weaviate.query.removeprefix("grpc=")))).close()
        assert answers(f"{variables['PREFECT_API_URL']}/health")
        assert answers(f"{variables['MLFLOW_TRACKING_URI']}/health")
        assert f"export PREFECT_API_URL={variables['PREFECT_API_URL']}" in started.stdout
        assert found_api(tmp_path) == variables["PREFECT_API_URL"]  # the one that stages find

        fleet = Fleet(REAL)
        before = {standing.name: standing.running for standing in fleet.status()}
        assert {standing.name: standing.running for standing in fleet.start()} == before

        before["weaviate"].kill()
        told = command(tmp_path, "status")
        assert told.returncode == 1
        assert "dead" in told.stdout
        again = {standing.name: standing.running for standing in fleet.start()}
        assert again["weaviate"].url == before["weaviate"].url  # who knows the address finds it again
        assert again["weaviate"].pid != before["weaviate"].pid
        assert (again["prefect"], again["mlflow"]) == (before["prefect"], before["mlflow"])
    finally:
        stopped = command(tmp_path, "stop")
    assert stopped.returncode == 0
    assert not any(running.alive() for running in again.values())
    assert sourced(tmp_path).keys().isdisjoint(variables.keys() & {"CRL_WEAVIATE_URL", "PREFECT_API_URL"})
    assert {standing.note for standing in fleet.stop()} == {"did not run"}


def hears_ctrl_c() -> None:
    """Also where the tests run in the background of a shell, which lets its jobs ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_ctrl_c_while_a_server_starts_leaves_no_process_behind(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CRL_WEAVIATE_BINARY": program()}
    argv = [sys.executable, "-m", "flows.local", "start", "weaviate"]
    options = {"cwd": tmp_path, "env": environment, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, preexec_fn=hears_ctrl_c, **options) as starting:
        while not (below := psutil.Process(starting.pid).children()) and starting.poll() is None:
            time.sleep(0.02)
        starting.send_signal(signal.SIGINT)
        output, _ = starting.communicate(timeout=60)
    assert starting.returncode == 130, output
    assert all(has_ended(process.pid) for process in below)
    assert not (tmp_path / ".servers/weaviate.json").exists()


def test_a_server_that_ends_at_its_start_is_a_failure_with_its_last_words(tmp_path, monkeypatch):
    liar = tmp_path / "weaviate-server"
    liar.write_text("#!/bin/sh\necho no such option >&2\nexit 3\n")
    liar.chmod(0o755)
    monkeypatch.setenv("CRL_WEAVIATE_BINARY", str(liar))
    [standing] = Fleet(["weaviate"], tmp_path / "home").start()
    assert standing.state == "failed"
    assert "exit code 3" in standing.note
    assert "no such option" in standing.note


def test_without_models_vllm_is_left_out_with_the_remedy_and_asked_for_by_name_a_failure(checkout):
    for role in ("actor", "extractor"):
        (checkout / "runs/warm_start" / role / "config.json").unlink()
        (checkout / "runs/warm_start" / role).rmdir()
    standings = Fleet(["actor", "extractor"], checkout / "home").start()
    assert {standing.state for standing in standings} == {"left out"}
    assert all("dvc repro warm_start" in standing.note for standing in standings)
    assert command(checkout, "start", "actor").returncode == 1


def test_the_models_that_are_there_are_served_where_a_stand_in_takes_vllms_place(checkout, monkeypatch):
    """How vLLM itself starts is tested with vLLM (tests/engine); here a file server stands in for its process."""
    (checkout / "health").touch()
    served = []

    def stand_in(model, *, port, role, **_):
        served.append((role, model))
        return [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], {"CRL_STAND_IN": role}

    monkeypatch.setattr(vllm_serve, "servable", lambda source, folder, **_: source)
    monkeypatch.setattr(vllm_serve, "command", stand_in)
    fleet = Fleet(["actor", "extractor"], checkout / "home")
    try:
        assert [standing.state for standing in fleet.start()] == ["runs", "runs"]
        variables = fleet.environment()
        assert set(variables) == {"CRL_ACTOR_URLS", "CRL_EXTRACTOR_URLS"}
        assert len(set(variables.values())) == 2
        assert sorted(served) == [(role, Path("runs/warm_start") / role) for role in ("actor", "extractor")]
    finally:
        fleet.stop()
    assert fleet.environment() == {}


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"weviate: no such server\. Remedy: choose from weaviate, prefect"):
        Fleet(["weviate"], tmp_path)


def listen(port: int) -> list[str]:
    """A process whose child listens, as a server with workers has it."""
    return ["bash", "-c", f"{sys.executable} -m http.server {port} --bind 127.0.0.1 & wait"]


def test_a_process_is_stopped_with_its_children_and_not_mistaken_for_another(tmp_path):
    port = free_port()
    running = spawn("web", Launch(listen(port)), folder=tmp_path, port=port, health="/")
    url = running.url
    assert running.alive()
    reused = Running(running.name, running.pid, running.started_s - 100, running.url, running.log)
    assert not reused.alive()
    reused.stop()  # another process has its pid now: left alone
    assert running.alive()
    psutil.Process(running.pid).kill()
    psutil.Process(running.pid).wait(60)
    assert answers(url)  # the child outlived it
    running.stop()
    assert not http_ok(url)
    running.stop()


def test_a_server_that_never_answers_is_ended_and_a_foreign_one_at_the_port_not_taken_for_it(tmp_path):
    silent = Launch(["sleep", "60"], wait_s=0.5)
    with pytest.raises(RuntimeError, match="was not healthy"):
        spawn("mute", silent, folder=tmp_path, port=1)
    with serving(lambda *_: (200, {})) as other, pytest.raises(RuntimeError, match="was not healthy"):
        spawn("thief", silent, folder=tmp_path, port=urlsplit(other).port)


def test_a_server_that_may_hang_at_its_start_is_started_once_more_and_others_are_not(tmp_path, caplog):
    class Web(LocalServer):
        """Hangs at its first start."""

        name, port, variable, health = "web", 0, "WEB", "/"

        def launch(self, port: int) -> Launch:
            began = tmp_path / "began"
            works = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
            argv = works if began.exists() else ["sleep", "60"]
            began.touch()
            return Launch(argv, wait_s=30 if argv is works else 0.5)

    with pytest.raises(Unanswered, match=r"not healthy .*\(ConnectError\)"):
        Web(tmp_path / "home").start()
    (tmp_path / "began").unlink()
    Web.may_hang = True
    web = Web(tmp_path / "home")
    web.start()
    assert "It is started once more" in caplog.text
    assert web.stop()


def test_another_port_is_taken_when_somebody_was_faster():
    with socket.socket() as other:
        tried = []

        def start(port: int) -> Running:
            tried.append(port)
            if len(tried) == 1:
                other.bind(("127.0.0.1", port))
                other.listen()
                raise RuntimeError("address in use")
            return Running("web", 1, 0.0, f"http://127.0.0.1:{port}", "")

        on_free_port(start)
        assert tried[0] != tried[1]
        with pytest.raises(RuntimeError, match="no matter of the port"):
            on_free_port(lambda _: (_ for _ in ()).throw(RuntimeError("no matter of the port")))


def test_another_try_is_made_when_who_was_faster_is_gone_again():
    tried = []

    def start(port: int) -> Running:
        tried.append(port)
        if len(tried) == 1:
            raise RuntimeError(f"ended with exit code 3\n{OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))}")
        return Running("web", 1, 0.0, f"http://127.0.0.1:{port}", "")

    assert on_free_port(start).url.endswith(str(tried[1]))
