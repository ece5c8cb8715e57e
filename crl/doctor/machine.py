"""The machine itself: memory, disk, a writable run folder, ports, compiler, clock."""

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from crl.doctor.needs import GIB, disk_bytes, memory_bytes
from crl.doctor.registry import Finding, Situation, check

_PREFECT_PORT = 4200


@check("memory")
def memory(situation: Situation) -> Iterator[Finding]:
    from crl.doctor.accelerator import wants_gpu

    free, needed = available_bytes(), memory_bytes(situation.config, models_elsewhere=wants_gpu(situation))
    yield _enough(
        "memory", free, needed, "a larger machine, smaller models, fewer envs.workers, or engine.kind: server"
    )


@check("disk")
def disk(situation: Situation) -> Iterator[Finding]:
    free, needed = shutil.disk_usage(_existing(situation.folder)).free, disk_bytes(situation.config)
    yield _enough("disk", free, needed, "free space, lower rounds.keep_checkpoints, or run in a folder on another disk")


@check("run folder")
def run_folder(situation: Situation) -> Iterator[Finding]:
    yield _writable("run folder", _existing(situation.folder / "runs"))


@check("weights folder", needed=lambda situation: bool(situation.config.engine.weights_folder))
def weights_folder(situation: Situation) -> Iterator[Finding]:
    """Through it new weights reach the servers, which must see it under the same name."""
    folder = situation.folder / situation.config.engine.weights_folder
    if folder.is_dir():
        yield _writable("weights folder", folder)
    else:
        remedy = "mount there what the servers see under the same name, or correct engine.weights_folder"
        yield Finding("weights folder", "fail", f"{folder}: no such folder", "a shared folder", remedy)


@check("ports")
def ports(situation: Situation) -> Iterator[Finding]:
    """A stage starts a Prefect server unless an address is set; Weaviate Embedded and Ray listen, too."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 0))
        except OSError as error:
            remedy = "allow this user to listen on 127.0.0.1"
            yield Finding("ports", "fail", f"no port can be opened: {error.strerror}", "free local ports", remedy)
            return
    taken = not situation.environment.get("PREFECT_API_URL") and _listening(_PREFECT_PORT)
    yield Finding("ports", "ok", f"{_PREFECT_PORT} is taken, another is used" if taken else "free ports on 127.0.0.1")


@check("compiler", needed=lambda situation: bool(_compiled(situation)))
def compiler(situation: Situation) -> Iterator[Finding]:
    found, who = shutil.which("c++") or shutil.which("g++"), ", ".join(_compiled(situation))
    if found:
        yield Finding("compiler", "ok", found, who)
    else:
        yield Finding("compiler", "fail", "no C++ compiler", who, "apt-get install g++ make; then make install")


@check("clock")
def clock(situation: Situation) -> Iterator[Finding]:
    """A clock behind the files that it reads orders retries, leases and records wrongly."""
    newest = max((file.stat().st_mtime for file in situation.folder.glob("*.yaml")), default=0.0)
    behind = newest - time.time()
    if behind > 60:
        yield Finding("clock", "fail", f"{behind:.0f} s behind the files here", "a clock that is right", "set it (NTP)")
    else:
        yield Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))


def available_bytes(root: Path = Path("/")) -> float:
    """Memory that this process can still take: of the machine, or of its container when that is less."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # not a Linux kernel
        free = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    try:
        limit, used = ((root / "sys/fs/cgroup" / name).read_text() for name in ("memory.max", "memory.current"))
        return min(free, float(limit) - float(used))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return free


def _compiled(situation: Situation) -> list[str]:
    """What of this run compiles C++ here."""
    engine = situation.config.engine
    wanted = {
        "ALFWorld's planner": "alfworld" in situation.families and find_spec("fast_downward") is None,
        "vLLM's compilation (engine.eager: true does without)": engine.declared.compiles and not engine.eager,
    }
    return [name for name, needed in wanted.items() if needed]


def _enough(name: str, free: float, needed: float | None, remedy: str) -> Finding:
    """Of bytes; `needed` is None where the size of a model cannot be told."""
    seen = f"{free / GIB:.1f} GiB free"
    if needed is None:
        return Finding(name, "warn", f"{seen}; the size of a model cannot be told", remedy=_UNTOLD)
    enough = free >= needed
    return Finding(name, "ok" if enough else "fail", seen, f"about {needed / GIB:.1f} GiB", "" if enough else remedy)


def _writable(name: str, folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        remedy = "give this user the right to write there, or free space"
        return Finding(name, "fail", f"{folder}: {error.strerror}", "a writable folder", remedy)
    return Finding(name, "ok", f"{folder} is writable")


def _existing(folder: Path) -> Path:
    folder = folder.resolve()
    while not folder.exists():
        folder = folder.parent
    return folder


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


_UNTOLD = "name a model whose size its folder or its name tells, or see to it yourself"
