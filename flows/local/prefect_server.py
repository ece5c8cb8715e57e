"""One local Prefect server for all stages of a checkout.

A stage that finds no server starts one and stops it at its end (6 s; an ephemeral one takes 12-17 s); where the stage is
killed, the server ends by itself (`keeper.py`). An address that is configured already (PREFECT_API_URL or a Prefect profile)
is used as it is, and CRL_PREFECT=ephemeral asks for Prefect's own ephemeral server.
"""

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx
from filelock import FileLock

import flows  # noqa: F401  sets the quiet defaults before Prefect is imported
from crl.errors import CrlError
from flows.local.process import Launch, Running
from flows.local.server import LocalServer
from flows.stage import paths

HOME = paths.HOME / ".prefect"
_STARTUP_S = 120.0
_KEEPER = (sys.executable, "-P", str(Path(__file__).with_name("keeper.py")))
_TRIES, _PAUSE_S = 4, 2.0  # a server that restarts is back within seconds


class PrefectUnreachable(CrlError):
    """No Prefect server answers at its address."""

    @classmethod
    def at(cls, api: str, error: Exception) -> "PrefectUnreachable":
        from prefect.client.orchestration import strip_auth_from_url

        return cls(
            f"PREFECT_API_URL = {strip_auth_from_url(api)}: {str(error) or type(error).__name__}. Remedy: start that server, "
            "correct the address (environment or Prefect profile), or unset it: the run then starts a server of its own"
        )


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
        server = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        environment = {
            "PREFECT_HOME": str(self.home.resolve()),
            "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",  # the pages call 4200 unless told
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            # On disk, in its home: in memory they are gone with the server, and the slots of `gpu` are never given back.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        }
        argv = [*_KEEPER, str(self._record.resolve()), *server]
        return Launch(argv, environment, without=(self.variable,), wait_s=_STARTUP_S)

    def start(self, port: int | None = None) -> Running:
        """Start it for good: it runs until `stop`, whoever uses it."""
        with self._user(), self._lock:
            running = self.current() or super().start(port)
            self._kept.touch()  # only now: after a start that failed, a stage's own server must end with the stage
            return running

    def keep(self) -> None:
        with self._user(), self._lock:
            if self.current():
                self._kept.touch()

    def stop(self) -> bool:
        if not self.home.is_dir():
            return False
        with self._lock:
            self._kept.unlink(missing_ok=True)
            return super().stop()

    @contextlib.contextmanager
    def used(self) -> Iterator[Running]:
        """The server for the block, started if it does not run."""
        with self._user() as users:
            try:
                with self._lock:
                    running = self.current() or super().start()
                yield running
            finally:
                with self._lock, contextlib.suppress(BlockingIOError):  # another user goes on
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if not self._kept.exists():
                        super().stop()

    @contextlib.contextmanager
    def _user(self) -> Iterator[IO[str]]:
        """Counts as a user for the block."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "users.lock").open("a") as users:
            fcntl.flock(users, fcntl.LOCK_SH)  # held by each user, and gone with its process, however that ends
            yield users


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

    server, configured = PrefectServer(home), configured_api()
    ours = server.current()
    if os.environ.get("CRL_PREFECT") == "ephemeral":
        yield configured
        return
    if configured and not (ours and configured == f"{ours.url}/api"):
        check(configured)
        with _named(configured):
            yield configured
        return
    # Ours, also where a parent process told of it: a stage whose parent was killed is then the last that uses it.
    with server.used() as process:
        variables, before = server.exports(process), dict(os.environ)
        api = variables["PREFECT_API_URL"]
        with temporary_settings({PREFECT_API_URL: api}), _named(api):
            os.environ |= variables  # for the processes that the block starts
            try:
                yield api
            finally:
                for name in variables:
                    os.environ.pop(name, None)
                os.environ |= {name: before[name] for name in variables if name in before}
                send_what_waits()


def check(api: str) -> None:
    """Raises PrefectUnreachable: told before anything starts."""
    from prefect.client.orchestration import get_client

    for left in reversed(range(_TRIES)):
        with get_client(sync_client=True) as client:
            error = client.api_healthcheck()
        if not isinstance(error, httpx.TransportError):  # whatever it answers, it is there
            return
        if left:
            time.sleep(_PAUSE_S)
    raise PrefectUnreachable.at(api, error)


@contextlib.contextmanager
def _named(api: str) -> Iterator[None]:
    """What Prefect's client raises once it has given the server up becomes PrefectUnreachable."""
    try:
        yield
    except httpx.TransportError as error:
        if not str(error.request.url).startswith(api):
            raise
        raise PrefectUnreachable.at(api, error) from error


def send_what_waits() -> None:
    """Prefect's client sends logs and events in the background, and tries for a minute once the server is gone."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    EventsWorker.drain_all(timeout=10)
