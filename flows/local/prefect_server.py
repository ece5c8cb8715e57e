"""One local Prefect server for all stages of a checkout.

    python -m flows.local.prefect_server start|stop|status
    python -m flows.local.prefect_server run -- dvc repro      a server for the time of one command

A stage that finds no server starts one and stops it at its end (6 s; an ephemeral one takes 12-17 s). An
address that is configured already (PREFECT_API_URL or a Prefect profile) is used as it is, and
CRL_PREFECT=ephemeral asks for Prefect's own ephemeral server.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock

import flows  # noqa: F401  sets the quiet defaults before Prefect is imported
from flows.local.process import Running, http_ok, on_free_port, spawn

HOME = Path(".prefect")
DEFAULT_PORT = 4200
_KEPT = "crl-server.kept"  # `start` asked for the server: it outlives its users
_STARTUP_S = 120.0


@dataclass(frozen=True)
class Server(Running):
    """A Prefect server that this checkout started."""

    @property
    def api(self) -> str:
        return f"{self.url}/api"

    def healthy(self) -> bool:
        return http_ok(f"{self.api}/health")


def configured_api() -> str | None:
    """The API address that the user configured, by environment or Prefect profile."""
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


def pages() -> str:
    """Address of Prefect's pages for the API in use."""
    from prefect.settings import PREFECT_UI_URL

    return PREFECT_UI_URL.value() or (configured_api() or "").removesuffix("/api")


def started(home: Path = HOME) -> Server | None:
    """The server that was started last and not stopped, whether it still runs or not."""
    file = home / "crl-server.json"
    return Server(**json.loads(file.read_text())) if file.is_file() else None


def current(home: Path = HOME) -> Server | None:
    """The checkout's server, if it runs."""
    server = started(home)
    return server if server and server.alive() else None


def start(home: Path = HOME, port: int = DEFAULT_PORT) -> Server:
    """The checkout's server, started if it does not run (a dead one at its old port); returns when it answers.

    Raises RuntimeError.
    """
    home.mkdir(exist_ok=True)
    with _lock(home):
        before = started(home)
        if before and before.alive():
            return before
        if before:
            before.kill()  # children that outlived it hold its port
            port = int(before.url.rpartition(":")[2])
        server = Server(**asdict(on_free_port(lambda free: _spawn(home, free), port)))
        (home / "crl-server.json").write_text(json.dumps(asdict(server)))
        return server


def keep(home: Path = HOME) -> Server:
    """Start the server for good: it runs until `end`, whoever uses it."""
    home.mkdir(exist_ok=True)
    (home / _KEPT).touch()
    return start(home)


def end(home: Path = HOME) -> bool:
    """Stop the server that `keep` or a stage started. Returns whether one ran."""
    (home / _KEPT).unlink(missing_ok=True)
    return stop(home)


def stop(home: Path = HOME) -> bool:
    """Stop the checkout's server. Returns whether one ran."""
    server = started(home)
    if server is None:
        return False
    ran = server.alive()
    server.stop()
    (home / "crl-server.json").unlink(missing_ok=True)
    return ran


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


def _spawn(home: Path, port: int) -> Running:
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PREFECT_HOME": str(home.resolve()),
        "PREFECT_SERVER_UI_API_URL": f"{url}/api",  # the pages call 4200 unless told, whatever the port
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    }
    return spawn(
        "prefect",
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        environment=environment,
        without=("PREFECT_API_URL",),
        folder=home,
        url=url,
        health=lambda: http_ok(f"{url}/api/health"),
        wait_s=_STARTUP_S,
    )


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
            print(keep().url)  # noqa: T201
        case ["stop"]:
            print("stopped" if end() else "no server runs here")  # noqa: T201
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
