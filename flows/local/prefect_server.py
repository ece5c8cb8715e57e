"""One local Prefect server for all stages of a checkout.

A stage that finds no server starts one and stops it at its end (6 s; an ephemeral one takes 12-17 s). An
address that is configured already (PREFECT_API_URL or a Prefect profile) is used as it is, and
CRL_PREFECT=ephemeral asks for Prefect's own ephemeral server.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import psutil
from filelock import FileLock

import flows  # noqa: F401  sets the quiet defaults before Prefect is imported
from flows.local.process import Running
from flows.local.server import Launch, LocalServer

HOME = Path(".prefect")
_STARTUP_S = 120.0


class PrefectServer(LocalServer):
    """Shared by stages: the last one that uses it stops it, unless it was started for good. State in `.prefect`."""

    name = "prefect"
    port = 4200
    health = "/api/health"

    def __init__(self, home: Path = HOME, interrupted: Event | None = None) -> None:
        super().__init__(home, interrupted)

    def launch(self, port: int) -> Launch:
        argv = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        environment = {
            "PREFECT_HOME": str(self.home.resolve()),
            "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",  # the pages call 4200 unless told
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        }
        return Launch(argv, environment, without=("PREFECT_API_URL",), wait_s=_STARTUP_S)

    def exports(self, running: Running) -> dict[str, str]:
        return {"PREFECT_API_URL": f"{running.url}/api"}

    def start(self, port: int | None = None) -> Running:
        """Start it for good: it runs until `stop`, whoever uses it."""
        with self._lock():
            running = self.current() or super().start(port)
            self._kept.touch()  # only now: after a start that failed, a stage's own server must end with the stage
            return running

    def stop(self) -> bool:
        if not self.home.is_dir():
            return False
        with self._lock():
            self._kept.unlink(missing_ok=True)
            return super().stop()

    @contextlib.contextmanager
    def used(self) -> Iterator[Running]:
        """The server for the block, started if it does not run."""
        note = self.home / "users" / str(os.getpid())
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()
        try:
            with self._lock():
                running = self.current() or super().start()
            yield running
        finally:
            with self._lock():
                note.unlink(missing_ok=True)
                if not self._users() and not self._kept.exists():
                    super().stop()

    @property
    def _kept(self) -> Path:
        return self.home / "crl-server.kept"

    def _users(self) -> list[int]:
        """Processes that use the server now; notes of ended ones are removed."""
        notes = {int(note.name): note for note in (self.home / "users").glob("[0-9]*")}
        for pid in (ended := {pid for pid in notes if not psutil.pid_exists(pid)}):
            notes[pid].unlink(missing_ok=True)
        return sorted(notes.keys() - ended)

    def _lock(self) -> FileLock:
        """Starting and stopping exclude each other."""
        self.home.mkdir(parents=True, exist_ok=True)
        return FileLock(self.home / "crl-server.lock", timeout=_STARTUP_S + 30)


def configured_api() -> str | None:
    """The API address that the user configured, by environment or Prefect profile."""
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


def found_api() -> str | None:
    """The API address of the server in use: the configured one, else the checkout's, if it runs."""
    running = PrefectServer().current()
    return configured_api() or (f"{running.url}/api" if running else None)


def pages() -> str:
    """Address of Prefect's pages for the API in use."""
    from prefect.settings import PREFECT_UI_URL

    return PREFECT_UI_URL.value() or (configured_api() or "").removesuffix("/api")


@contextlib.contextmanager
def running(home: Path = HOME) -> Iterator[str | None]:
    """A Prefect API for the block: the configured one, the checkout's, or one of its own. None: ephemeral."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    if configured_api() or os.environ.get("CRL_PREFECT") == "ephemeral":
        yield configured_api()
        return
    server = PrefectServer(home)
    with server.used() as process:
        variables = server.exports(process)
        api = variables["PREFECT_API_URL"]
        with temporary_settings({PREFECT_API_URL: api}), _environment(variables):
            try:
                yield api
            finally:
                _send_what_waits()


def _send_what_waits() -> None:
    """Prefect's client sends logs and events in the background, and tries for a minute once the server is gone."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    EventsWorker.drain_all(timeout=10)


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """For the processes that the block starts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
