"""The machine itself: memory, disk, a writable run folder, ports, compiler, clock."""

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil

from crl.doctor.accelerator import wants_gpu
from crl.doctor.finding import Finding, Situation
from crl.doctor.http import closed
from crl.doctor.needs import GIB, disk_bytes, enough, memory_bytes

_PREFECT_PORT = 4200


def memory(situation: Situation) -> Iterator[Finding]:
    free, elsewhere = available_bytes(), wants_gpu(situation)
    remedy = "a larger machine, smaller models, fewer envs.workers, or engine.kind: server"
    yield enough(_free(free), free, lambda: memory_bytes(situation.config, models_elsewhere=elsewhere), remedy)


def disk(situation: Situation) -> Iterator[Finding]:
    free = shutil.disk_usage(_existing(situation.folder)).free
    remedy = "free space, lower rounds.keep_checkpoints, or run in a folder on another disk"
    yield enough(_free(free), free, lambda: disk_bytes(situation.config), remedy)


def run_folder(situation: Situation) -> Iterator[Finding]:
    yield _writable(_existing(situation.folder / "runs"))


def weights_folder(situation: Situation) -> Iterator[Finding]:
    """Through it new weights reach the servers, which must see it under the same name."""
    if not (named := situation.config.engine.weights_folder):
        return
    folder = situation.folder / named
    if folder.is_dir():
        yield _writable(folder)
    else:
        remedy = "mount there what the servers see under the same name, or correct engine.weights_folder"
        yield Finding("fail", f"{folder}: no such folder", "a shared folder", remedy)


def ports(situation: Situation) -> Iterator[Finding]:
    """A stage starts a Prefect server unless an address is set; Weaviate Embedded and Ray listen, too."""
    try:
        socket.create_server(("127.0.0.1", 0)).close()
    except OSError as error:
        remedy = "allow this user to listen on 127.0.0.1"
        yield Finding("fail", f"no port can be opened: {error.strerror}", "free local ports", remedy)
        return
    taken = not situation.environment.get("PREFECT_API_URL") and not closed("127.0.0.1", _PREFECT_PORT, 1)
    yield Finding("ok", f"{_PREFECT_PORT} is taken, another is used" if taken else "free ports on 127.0.0.1")


def compiler(situation: Situation) -> Iterator[Finding]:
    engine = situation.config.engine
    compiled = {
        "ALFWorld's planner": "alfworld" in situation.families and find_spec("fast_downward") is None,
        "vLLM's compilation (engine.eager: true does without)": engine.declared.compiles and not engine.eager,
    }
    if not (who := ", ".join(name for name, needed in compiled.items() if needed)):
        return
    if found := shutil.which("c++") or shutil.which("g++"):
        yield Finding("ok", found, who)
    else:
        yield Finding("fail", "no C++ compiler", who, "apt-get install g++ make; then make install")


def clock(situation: Situation) -> Iterator[Finding]:
    """A clock behind the files that it reads orders retries, leases and records wrongly."""
    newest = max((file.stat().st_mtime for file in situation.folder.glob("*.yaml")), default=0.0)
    behind = newest - time.time()
    if behind > 60:
        yield Finding("fail", f"{behind:.0f} s behind the files here", "a clock that is right", "set it (NTP)")
    else:
        yield Finding("ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))


def available_bytes(root: Path = Path("/")) -> float:
    """Memory that this process can still take: of the machine, or of its container when that is less."""
    free = float(psutil.virtual_memory().available)
    try:
        limit, used = ((root / "sys/fs/cgroup" / name).read_text() for name in ("memory.max", "memory.current"))
        return min(free, float(limit) - float(used))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return free


def _free(size: float) -> str:
    return f"{size / GIB:.1f} GiB free"


def _writable(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        remedy = "give this user the right to write there, or free space"
        return Finding("fail", f"{folder}: {error.strerror}", "a writable folder", remedy)
    return Finding("ok", f"{folder} is writable")


def _existing(folder: Path) -> Path:
    folder = folder.resolve()
    while not folder.exists():
        folder = folder.parent
    return folder
