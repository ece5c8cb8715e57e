"""One server process: started in a session of its own, awaited until it answers, ended with all its children."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import httpx
import psutil

from flows.stage.paths import HOME

INTERRUPTED = Event()  # ends all starts: several servers start at once, in threads that hear no Ctrl-C
_TAIL = 4000  # characters of the log that an error carries
_POLL_S = 0.2
_STOP_S = 15.0  # between TERM and KILL


class Unanswered(RuntimeError):
    """A server that runs, and was not healthy in time."""


@dataclass(frozen=True)
class Launch:
    """The command that starts a server."""

    argv: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)  # laid over this process's environment
    without: Collection[str] = ()  # variables of this process's environment that are kept from it
    wait_s: float = 180.0  # until it must be healthy; 10 s on a quiet machine
    query: str = ""  # of the server's url: a second port
    # Demand that the process or a child listens at the url's port, so that another server that took the port in the same
    # moment is not mistaken for this one. False where an engine listens for it (Docker).
    own_port: bool = True


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

    def stop(self) -> None:
        """End the process and its children: TERM, then KILL for what is left. Harmless when it is gone."""
        self._signal(signal.SIGTERM)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the process and its children, as the kernel does when memory runs out. Harmless when gone."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        """Signal the group and wait for the end of the process, which reaps it where it is a child of ours."""
        process = self._process()
        # Children that outlived it keep its group; no other process gets that number while they do.
        if process is None and (psutil.pid_exists(self.pid) or self.started_s <= psutil.boot_time()):
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            if process is not None:
                process.wait(_STOP_S)

    def _process(self) -> psutil.Process | None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started_s) < 1.0:
                return process
        return None


def spawn(name: str, launch: Launch, *, folder: Path, port: int, health: str = "/health") -> Running:
    """Start a server and wait until it is healthy.

    Args:
        folder: made when missing; the output is appended to `folder/name.log`
        port: at which it listens on 127.0.0.1
        health: the path that is answered with success once it is ready
    Raises:
        RuntimeError: it ended or (Unanswered) was not healthy in time; the message ends with the log's tail. Nothing runs on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    before = log.stat().st_size if log.exists() else 0
    inherited = {key: value for key, value in os.environ.items() if key not in launch.without}
    with log.open("ab") as output:
        process = subprocess.Popen(
            launch.argv,
            env={**inherited, **launch.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd=HOME,  # a stage's temporary workspace goes before its server does
        )
    address = f"http://127.0.0.1:{port}"
    started_s = psutil.Process(process.pid).create_time()
    running = Running(name, process.pid, started_s, address + launch.query, str(log))
    try:
        _await(running, process, launch, address + health)
    except RuntimeError as error:
        running.kill()
        raise type(error)(f"{error}. Remedy: see {log}\n{_tail(log, before)}") from None
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
        except RuntimeError as error:
            # Who took it may be gone again by now; the server's last words still tell.
            taken = free_port(port) != port or os.strerror(errno.EADDRINUSE).lower() in str(error).lower()
            if not tries or not taken:
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
    """Whether a GET is answered with success."""
    return _http_fault(url, timeout_s) is None


def _http_fault(url: str, timeout_s: float = 5) -> str | None:
    """What became of a GET that is not answered with success. Asks directly: no proxy stands before a local server."""
    try:
        answer = httpx.get(url, timeout=timeout_s, trust_env=False)
    except httpx.TransportError as error:
        return type(error).__name__
    return None if answer.is_success else f"status {answer.status_code}"


def _await(running: Running, process: subprocess.Popen, launch: Launch, health: str) -> None:
    deadline = time.monotonic() + launch.wait_s
    while process.poll() is None:
        if INTERRUPTED.is_set():
            raise KeyboardInterrupt
        fault = _http_fault(health)
        if fault is None and launch.own_port and not _listens(running):
            fault = "another process answers there"
        if fault is None:
            return
        if time.monotonic() > deadline:
            raise Unanswered(f"{running.name} was not healthy at {running.url} within {launch.wait_s:.0f} s ({fault})")
        time.sleep(_POLL_S)
    raise RuntimeError(f"{running.name} ended with exit code {process.returncode} before it answered at {running.url}")


def _listens(running: Running) -> bool:
    """Whether the process or one below it listens at the port of its address."""
    port = urlsplit(running.url).port
    with contextlib.suppress(psutil.NoSuchProcess):  # a worker that just ended: asked again
        leader = psutil.Process(running.pid)
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for process in (leader, *leader.children(recursive=True))
            for connection in process.net_connections("tcp")
        )
    return False


def _tail(log: Path, before: int) -> str:
    """The end of what this start wrote."""
    with log.open("rb") as file:
        file.seek(before)
        return file.read().decode(errors="replace")[-_TAIL:]
