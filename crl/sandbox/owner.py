"""Who owns a container: the process that started it, named so that its death can be told from another process."""

import os
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

from crl.sandbox.engine import Engine
from crl.sandbox.errors import SandboxError
from crl.sandbox.limits import OWNER_LABEL

_reapers: dict[tuple[int, str], subprocess.Popen] = {}  # of a process (a fork is another one) and an engine
_lock = threading.Lock()


@cache
def _machine() -> str:
    """This boot and this process namespace: only in the same one does a process number mean anything."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}.{os.readlink('/proc/self/ns/pid').strip('pid:[]')}"


def _started(pid: int) -> str:
    """Start time of a process in clock ticks since boot (field 22 of its stat); empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def owner_id() -> str:
    """Of this process."""
    return f"{_machine()}.{os.getpid()}.{_started(os.getpid())}"


def is_gone(owner: str) -> bool:
    """Whether the owner certainly ended; an owner on another machine is not judged."""
    machine, _, process = owner.rpartition(".")[0].rpartition(".")
    return machine == _machine() and _started(int(process)) != owner.rpartition(".")[2]


def prepare_process(docker: Engine) -> None:
    """Before a container is started: see to it that others clean up after us; the first time, clean up after others.

    A reaper is never let go of: the end of its pipe would tell it that this process is gone.
    """
    key = (os.getpid(), docker.host)
    with _lock:
        first = key not in _reapers
        if first or _reapers[key].poll() is not None:
            _reapers[key] = _start_reaper(docker)
    if first:
        sweep(docker)


def _start_reaper(docker: Engine) -> subprocess.Popen:
    """A small process of its own session that removes this process's containers once this process is gone.

    It waits for the end of its standard input, whose other end only this process holds: the kernel closes that however
    this process ends. Started by path, so that while waiting it holds a bare interpreter and nothing of ours.
    """
    return subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__).with_name("reaper.py")), docker.host, f"{OWNER_LABEL}={owner_id()}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def sweep(docker: Engine) -> int:
    """Remove the containers whose owners are gone without a reaper; the number removed."""
    removed = 0
    with docker.guard("looking for containers without an owner"):
        for container in docker.api.containers(all=True, filters={"label": OWNER_LABEL}):
            if is_gone(container["Labels"][OWNER_LABEL]):
                with suppress(SandboxError):  # the next sweep looks again
                    docker.remove(container["Id"])
                    removed += 1
    return removed
