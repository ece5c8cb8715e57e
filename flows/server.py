"""One local Prefect server for all stages of a checkout.

    python -m flows.server start|stop|status
    python -m flows.server run -- dvc repro      a server for the time of one command

A stage that finds no server starts one and stops it at its end (6 s; an ephemeral one takes 12-17 s). An
address that is configured already (PREFECT_API_URL or a Prefect profile) is used as it is, and
CRL_PREFECT=ephemeral asks for Prefect's own ephemeral server.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock

import flows  # noqa: F401  sets the quiet defaults before Prefect is imported

HOME = Path(".prefect")
DEFAULT_PORT = 4200
_KEPT = "crl-server.kept"  # `start` asked for the server: it outlives its users
_STARTUP_S = 120.0
_START_TRIES = 3


@dataclass(frozen=True)
class Server:
    """A server that this checkout started."""

    pid: int
    started_s: float  # of the process, so that a reused pid is not mistaken for it
    url: str

    @property
    def api(self) -> str:
        return f"{self.url}/api"

    def alive(self) -> bool:
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started_s) < 1.0
        except psutil.NoSuchProcess:
            return False

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.api}/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False


def configured_api() -> str | None:
    """The API address that the user configured, by environment or Prefect profile."""
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


def pages() -> str:
    """Address of Prefect's pages for the API in use."""
    from prefect.settings import PREFECT_UI_URL

    return PREFECT_UI_URL.value() or (configured_api() or "").removesuffix("/api")


def current(home: Path = HOME) -> Server | None:
    """The checkout's server, if it runs."""
    file = home / "crl-server.json"
    if not file.is_file():
        return None
    server = Server(**json.loads(file.read_text()))
    return server if server.alive() else None


def start(home: Path = HOME, port: int = DEFAULT_PORT) -> Server:
    """The checkout's server, started if it does not run; returns when it answers."""
    home.mkdir(exist_ok=True)
    with _lock(home):
        if server := current(home):
            return server
        for _ in range(_START_TRIES):  # another checkout's server may take the same free port in the same moment
            url = f"http://127.0.0.1:{_free_port(port)}"
            process = _spawn(home, url)
            server = Server(process.pid, psutil.Process(process.pid).create_time(), url)
            if _answers(server, process):
                (home / "crl-server.json").write_text(json.dumps(asdict(server)))
                return server
        tail = (home / "server.log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"the Prefect server did not start at {url}. Remedy: see {home}/server.log\n{tail}")


def stop(home: Path = HOME) -> bool:
    """Stop the checkout's server. Returns whether there was one."""
    server = current(home)
    if server is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    try:
        psutil.Process(server.pid).wait(timeout=15)
    except psutil.NoSuchProcess:
        pass
    except psutil.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
    (home / "crl-server.json").unlink(missing_ok=True)
    return True


@contextlib.contextmanager
def running(home: Path = HOME) -> Iterator[str | None]:
    """A Prefect API for the block: the configured one, the checkout's, or one of its own. None: ephemeral."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    if configured_api() or os.environ.get("CRL_PREFECT") == "ephemeral":
        yield configured_api()
        return
    with (
        _shared(home) as server,
        temporary_settings({PREFECT_API_URL: server.api}),
        _environment(PREFECT_API_URL=server.api),  # for the processes that the block starts
    ):
        try:
            yield server.api
        finally:
            _send_what_waits()


def _send_what_waits() -> None:
    """Prefect's client sends logs and events in the background, and tries for a minute once the server is gone."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    EventsWorker.drain_all(timeout=10)


@contextlib.contextmanager
def _shared(home: Path) -> Iterator[Server]:
    """The checkout's server; the last user stops it, unless `start` asked for it."""
    note = home / "users" / str(os.getpid())
    note.parent.mkdir(parents=True, exist_ok=True)
    note.touch()
    try:
        yield start(home)
    finally:
        with _lock(home):
            note.unlink(missing_ok=True)
            if not _users(home) and not (home / _KEPT).exists():
                stop(home)


def _users(home: Path) -> list[int]:
    """Processes that use the server now; notes of ended ones are removed."""
    alive = []
    for note in (home / "users").glob("[0-9]*"):
        if psutil.pid_exists(int(note.name)):
            alive.append(int(note.name))
        else:
            note.unlink(missing_ok=True)
    return alive


def _lock(home: Path) -> FileLock:
    """Starting and stopping exclude each other."""
    return FileLock(home / "crl-server.lock", timeout=_STARTUP_S + 30)


def _spawn(home: Path, url: str) -> subprocess.Popen:
    host, port = url.removeprefix("http://").split(":")
    environment = os.environ | {
        "PREFECT_HOME": str(home.resolve()),
        "PREFECT_SERVER_UI_API_URL": f"{url}/api",  # the pages call 4200 unless told, whatever the port
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    }
    environment.pop("PREFECT_API_URL", None)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", port]
    with (home / "server.log").open("ab") as log:
        return subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )


def _answers(server: Server, process: subprocess.Popen) -> bool:
    """Wait until this process, and not another that took its port, answers; False when it ended or is too slow."""
    deadline = time.monotonic() + _STARTUP_S
    while process.poll() is None and time.monotonic() < deadline:
        if server.healthy() and _listens(process.pid, int(server.url.rpartition(":")[2])):
            return True
        time.sleep(0.2)
    process.kill()
    process.wait()
    return False


def _listens(pid: int, port: int) -> bool:
    """Whether the process or one of its children listens on the port."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for process in (parent, *parent.children(recursive=True))
            for connection in process.net_connections("tcp")
        )
    return False


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _main(arguments: list[str]) -> int:
    match arguments:
        case ["start"]:
            HOME.mkdir(exist_ok=True)
            (HOME / _KEPT).touch()
            print(start().url)  # noqa: T201
        case ["stop"]:
            (HOME / _KEPT).unlink(missing_ok=True)
            print("stopped" if stop() else "no server runs here")  # noqa: T201
        case ["status"]:
            server = current()
            print(f"{server.url} (process {server.pid})" if server else "no server runs here")  # noqa: T201
            return 0 if server else 1
        case ["run", "--", *command] if command:
            with running():
                return subprocess.call(command)
        case _:
            print(__doc__)  # noqa: T201
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
