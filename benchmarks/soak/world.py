"""Where the disturbed pipelines run: a small disk of their own, marked processes, and the team's servers beside it."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from crl.errors import DataError
from crl.files import read_json
from flows.local.process import Running
from tests.end_to_end import ROOT, environment
from tests.marked import kill, marked

DISK_MIB = 3072
GONE_WITHIN_S = 30.0  # the leash gives DVC and its stage 20 s
LONGEST_S = 2400.0  # of one run that is not told to end
_MARK = "CRL_SOAK"
_POLL_S = 0.1


@dataclass
class Disk:
    """A file system in memory, small enough to be filled."""

    at: Path

    def __enter__(self) -> "Disk":
        self.at.mkdir(parents=True, exist_ok=True)
        if os.geteuid():
            raise DataError(
                "a disk that can be filled is mounted by root alone. Remedy: run the soak as root, in a container"
            )
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "crl-soak", self.at], check=True)
        (self.at / "tmp").mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", self.at], check=False)

    def fill(self, leave_bytes: int) -> None:
        """What the run writes meanwhile takes its share: then what is left is filled."""
        with (self.at / "filler").open("wb") as filler:
            while (more := self._free_bytes() - leave_bytes) > 0:
                with suppress(OSError):
                    os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, more)

    def _free_bytes(self) -> int:
        found = os.statvfs(self.at)
        return found.f_bavail * found.f_frsize

    def empty(self) -> None:
        (self.at / "filler").unlink(missing_ok=True)


@dataclass
class Run:
    """One `make run` in a checkout: its process, and whatever came of it."""

    checkout: Path
    log: Path
    variables: dict[str, str]
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        self.started_s = time.monotonic()
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flows.run"], cwd=self.checkout, env=self.variables | {_MARK: self.mark},
                stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
                preexec_fn=_hears_ctrl_c,
            )  # fmt: skip

    def ended(self, wait_s: float) -> bool:
        try:
            self.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def alive(self) -> list[psutil.Process]:
        """All that came of it and still runs, wherever it stands in the tree of processes."""
        return marked(_MARK, self.mark)

    def gone_after_s(self) -> float:
        """Seconds until nothing of it runs. Raises DataError with what is left, which is killed."""
        start = time.monotonic()
        while left := self.alive():
            if time.monotonic() > start + GONE_WITHIN_S:
                told = "; ".join(_told(process) for process in left)
                kill(left)
                raise DataError(f"{GONE_WITHIN_S:g} s after the run's end these still ran: {told}")
            time.sleep(_POLL_S)
        return time.monotonic() - start

    def kill(self) -> None:
        """SIGKILL to everything of it at once."""
        kill(self.alive())


class Servers:
    """Prefect and MLflow as a team runs them, started by `flows.local` in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder

    def start(self) -> None:
        self._call("start", "prefect", "mlflow")

    def stop(self) -> None:
        self._call("stop")

    def kill(self, name: str) -> None:
        """SIGKILL to one server, as the kernel does when memory runs out."""
        home = {"prefect": ".prefect", "mlflow": ".servers"}[name]
        Running(**read_json(self.folder / home / f"{name}.json")).kill()

    @property
    def addresses(self) -> dict[str, str]:
        lines = (self.folder / ".servers/env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def _call(self, *arguments: str) -> None:
        variables = environment(ROOT)
        done = subprocess.run(
            [sys.executable, "-m", "flows.local", *arguments],
            cwd=self.folder,
            env=variables,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise DataError(f"flows.local {' '.join(arguments)}: {done.stdout}{done.stderr}")


def variables(checkout: Path, disk: Disk, addresses: dict[str, str]) -> dict[str, str]:
    """The environment of a run: temporary files lie on the small disk, too."""
    return (
        environment(checkout)
        | addresses
        | {"TMPDIR": str(disk.at / "tmp"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    )


def command(checkout: Path, found: dict[str, str], arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=checkout, env=found, capture_output=True, text=True, check=False
    )


def _hears_ctrl_c() -> None:
    """Also where the soak runs in the background of a shell, which lets its jobs ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _told(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:120]}"
    except psutil.NoSuchProcess:
        return f"{process.pid} (it just ended)"
