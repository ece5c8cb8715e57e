"""A Slurm of this test's own, with two nodes on this machine: Debian's daemons, real jobs.

Its timeouts are long: where a busy machine does not confirm a launch in time, Slurm ends the job with status 1.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from flows.local.process import free_port

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docker/slurm/crl.sbatch"
NODES = ("n1", "n2")
DAEMONS = ("munged", "slurmctld", *(f"slurmd.{name}" for name in NODES))

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MinJobAge=3600
MpiDefault=none
KillWait=20
MessageTimeout=100
TCPTimeout=30
BatchStartTimeout=120
SlurmdTimeout=600
PartitionName=all Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeAddr=127.0.0.1 NodeHostname={host} Port={port} CPUs={cpus}\n"


@dataclass(frozen=True)
class Slurm:
    """Commands of the cluster, and a folder for what jobs write."""

    folder: Path

    def __call__(self, *words: str, **variables: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "RAY_"))}
        environment |= {"SLURM_CONF": str(self.folder / "slurm.conf")} | variables
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def submit(self, *words: str, options: tuple[str, ...] = (), **variables: str) -> str:
        """The id of a job of the script, one CPU on each node."""
        answer = self(
            "sbatch", "--parsable", "--cpus-per-task=1", f"--output={self.folder}/job.%j.log", *options, str(SCRIPT), *words,
            **variables,
        )  # fmt: skip
        return answer.strip()

    def facts(self, job: str) -> dict[str, str]:
        words = self("scontrol", "--oneliner", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait(self, job: str, *states: str, within_s: float = 400) -> dict[str, str]:
        deadline = time.monotonic() + within_s
        while (facts := self.facts(job))["JobState"] not in states:
            assert time.monotonic() < deadline, (facts, self.log(job))
            time.sleep(0.5)
        return facts

    def log(self, job: str) -> str:
        file = self.folder / f"job.{job}.log"
        return file.read_text() if file.is_file() else ""


@contextmanager
def cluster(folder: Path) -> Iterator[Slurm]:
    lacking = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    if lacking or os.geteuid() != 0:
        pytest.skip("no Slurm. Remedy: as root, apt-get install slurmctld slurmd slurm-client munge")
    host = socket.gethostname().partition(".")[0]
    text = CONFIGURATION.format(host=host, folder=folder, port=free_port())
    nodes = [NODE.format(name=name, host=host, port=free_port(), cpus=os.cpu_count()) for name in NODES]
    (folder / "slurm.conf").write_text(text.replace("PartitionName", "".join(nodes) + "PartitionName"))
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    files = [f"--{name}-file={folder}/munged.{name}" for name in ("pid", "log", "seed")]
    slurm = Slurm(folder)
    try:
        slurm("munged", "--force", f"--key-file={key}", f"--socket={folder}/munge.sock", *files)
        slurm("slurmctld")
        for name in NODES:
            slurm("slurmd", "-N", name)
        deadline = time.monotonic() + 120
        while slurm("sinfo", "--noheader", "--format=%T").split() != ["idle"]:
            assert time.monotonic() < deadline, slurm("sinfo")
            time.sleep(0.2)
        yield slurm
    finally:
        _stop(folder)


def _stop(folder: Path) -> None:
    running = []
    for name in reversed(DAEMONS):
        file = folder / f"{name}.pid"
        if file.is_file() and psutil.pid_exists(int(file.read_text())):
            running.append(psutil.Process(int(file.read_text())))
    for process in running:
        process.terminate()
    for process in psutil.wait_procs(running, timeout=20)[1]:
        process.kill()
