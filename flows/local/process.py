"""One server process: started in a session of its own, awaited until it answers, ended with all its children."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

_TAIL = 4000  # characters of the log that an error carries
_POLL_S = 0.2
_STOP_S = 15.0  # between TERM and KILL


@dataclass(frozen=True)
class Running:
    """A server that this checkout started. Survives as JSON: the fields tell the process from a reused pid."""

    name: str
    pid: int  # also the process group
    started_s: float  # of the process, so that a reused pid is not mistaken for it
    url: str
    log: str

    def alive(self) -> bool:
        """Whether the process that was started still runs (a zombie does not)."""
        process = self._process()
        with contextlib.suppress(psutil.NoSuchProcess):
            return process is not None and process.status() != psutil.STATUS_ZOMBIE
        return False

    def stop(self, patience_s: float = _STOP_S) -> None:
        """End the process and its children: TERM, then KILL for what is left. Harmless when it is gone."""
        if process := self._process():
            self._signal(signal.SIGTERM)
            _wait(process, patience_s)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the process and its children, as the kernel does when memory runs out. Harmless when gone."""
        process = self._process()
        # Children that outlived it keep its group; no other process gets that number while they do.
        if process is not None or (not psutil.pid_exists(self.pid) and self.started_s > psutil.boot_time()):
            self._signal(signal.SIGKILL)
        if process is not None:
            _wait(process, _STOP_S)

    def _process(self) -> psutil.Process | None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started_s) < 1.0:
                return process
        return None

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def spawn(
    name: str,
    command: list[str],
    *,
    environment: dict[str, str],
    folder: Path,
    url: str,
    health: Callable[[], bool],
    wait_s: float,
    without: Collection[str] = (),
    own_port: bool = True,
) -> Running:
    """Start a server and wait until it is healthy.

    Args:
        environment: laid over this process's environment, from which `without` is taken first
        folder: made when missing; the output is appended to `folder/name.log`
        url: `http://host:port` of the server
        health: asked until it says True
        own_port: demand that the process or a child listens at the url's port, so that another server that took
            the port in the same moment is not mistaken for this one. False where an engine listens for it (Docker).
    Raises:
        RuntimeError: it ended or was not healthy within `wait_s`; the message ends with the log's tail. Nothing runs on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    before = log.stat().st_size if log.exists() else 0
    inherited = {key: value for key, value in os.environ.items() if key not in without}
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=inherited | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    running = Running(name, process.pid, psutil.Process(process.pid).create_time(), url, str(log))
    try:
        _await(running, process, health, wait_s, urlsplit(url).port if own_port else None)
    except RuntimeError as error:
        running.kill()
        raise RuntimeError(f"{error}. Remedy: see {log}\n{_tail(log, before)}") from None
    except BaseException:  # interrupted: the user wants no server left behind
        running.kill()
        raise
    return running


def on_free_port(start: Callable[[int], Running], wanted: int | None = None, tries: int = 3) -> Running:
    """Start a server at the wanted port or a free one; at another one when somebody took it in the same moment.

    Raises RuntimeError: the last try's, or the first that was not a matter of the port.
    """
    while True:
        tries -= 1
        port = free_port(wanted)
        try:
            return start(port)
        except RuntimeError:
            if not tries or free_port(port) == port:
                raise


def free_port(wanted: int | None = None) -> int:
    """The wanted TCP port of 127.0.0.1 if it is free, else one that the system picks."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def http_ok(url: str, timeout_s: float = 5) -> bool:
    """Whether a GET is answered with success. Asks directly: no proxy stands before a local server."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout_s):
            return True
    except (OSError, http.client.HTTPException):
        return False


def _listens(session: int, port: int) -> bool:
    """Whether a process of the session listens at the port."""
    return any(
        connection.status == psutil.CONN_LISTEN
        and connection.laddr.port == port
        and _session_of(connection.pid) == session
        for connection in psutil.net_connections("tcp")
    )


def _session_of(pid: int | None) -> int | None:
    with contextlib.suppress(OSError, TypeError):  # gone meanwhile, or another user's
        return os.getsid(pid)
    return None


def _await(
    running: Running, process: subprocess.Popen, health: Callable[[], bool], wait_s: float, port: int | None
) -> None:
    deadline = time.monotonic() + wait_s
    while process.poll() is None:
        if health() and (port is None or _listens(running.pid, port)):
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{running.name} was not healthy at {running.url} within {wait_s:.0f} s")
        time.sleep(_POLL_S)
    raise RuntimeError(f"{running.name} ended with exit code {process.returncode} before it answered at {running.url}")


def _wait(process: psutil.Process, timeout_s: float) -> None:
    """Wait for the end, and reap it where it is a child of ours."""
    with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        process.wait(timeout=timeout_s)


def _tail(log: Path, before: int) -> str:
    """The end of what this start wrote."""
    with log.open("rb") as file:
        file.seek(before)
        return file.read().decode(errors="replace")[-_TAIL:]
