"""One local Prefect server for all stages of a checkout.

A stage that finds no server starts one and stops it at its end (6 s; an ephemeral one takes 12-17 s). An
address that is configured already (PREFECT_API_URL or a Prefect profile) is used as it is, and
CRL_PREFECT=ephemeral asks for Prefect's own ephemeral server.
"""

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

import flows  # noqa: F401  sets the quiet defaults before Prefect is imported
from flows.local.process import Launch, Running
from flows.local.server import LocalServer
from flows.stage import paths

HOME = paths.HOME / ".prefect"
_STARTUP_S = 120.0


class PrefectServer(LocalServer):
    """Shared by stages: the last one that uses it stops it, unless it was started for good. State in `.prefect`."""

    name = "prefect"
    port = 4200
    variable = "PREFECT_API_URL"
    path = "/api"
    health = "/api/health"

    def __init__(self, home: Path = HOME) -> None:
        super().__init__(home)
        self._kept = home / "crl-server.kept"
        self._lock = FileLock(home / "crl-server.lock", timeout=_STARTUP_S + 30)  # of starting and stopping

    def launch(self, port: int) -> Launch:
        argv = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        environment = {
            "PREFECT_HOME": str(self.home.resolve()),
            "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",  # the pages call 4200 unless told
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        }
        return Launch(argv, environment, without=(self.variable,), wait_s=_STARTUP_S)

    def start(self, port: int | None = None) -> Running:
        """Start it for good: it runs until `stop`, whoever uses it."""
        self.home.mkdir(parents=True, exist_ok=True)
        with self._lock:
            running = self.current() or super().start(port)
            self._kept.touch()  # only now: after a start that failed, a stage's own server must end with the stage
            return running

    def stop(self) -> bool:
        if not self.home.is_dir():
            return False
        with self._lock:
            self._kept.unlink(missing_ok=True)
            return super().stop()

    @contextlib.contextmanager
    def used(self) -> Iterator[Running]:
        """The server for the block, started if it does not run."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "users.lock").open("w") as users:
            fcntl.flock(users, fcntl.LOCK_SH)  # held by each user, and gone with its process, however that ends
            try:
                with self._lock:
                    running = self.current() or super().start()
                yield running
            finally:
                with self._lock, contextlib.suppress(BlockingIOError):  # another user goes on
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if not self._kept.exists():
                        super().stop()


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
    from prefect.settings import get_current_settings

    return get_current_settings().ui_url or ""


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
        with temporary_settings({PREFECT_API_URL: api}):
            os.environ |= variables  # for the processes that the block starts; until here nothing was configured
            try:
                yield api
            finally:
                del os.environ["PREFECT_API_URL"]
                _send_what_waits()


def _send_what_waits() -> None:
    """Prefect's client sends logs and events in the background, and tries for a minute once the server is gone."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    EventsWorker.drain_all(timeout=10)
