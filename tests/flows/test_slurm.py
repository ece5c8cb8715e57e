"""`docker/slurm/crl.sbatch` on a real Slurm: a job goes on after its time limit, ends when told, and brings its own Ray nodes."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.slurm import Slurm, cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

# Works for ever the first time, and has nothing left to do the second; ends in order as our commands do.
WORK = """
import os, signal, sys, time

def stop(*_):
    print("ends in order", flush=True)
    sys.exit(143)

signal.signal(signal.SIGTERM, stop)
print("works", flush=True)
while "SLURM_RESTART_COUNT" not in os.environ:
    time.sleep(0.1)
print("is done", flush=True)
"""
CLUSTER = """
import os, sys, time, ray

ray.init(address=os.environ["CRL_RAY_ADDRESS"], log_to_driver=False)
until = time.monotonic() + 150
while len([node for node in ray.nodes() if node["Alive"]]) < 2:
    if time.monotonic() > until:
        sys.exit("the second node did not come")
    time.sleep(0.1)
where = ray.remote(num_cpus=1)(lambda: os.environ["SLURMD_NODENAME"])
print("played on", ray.get(where.remote()), "of", int(ray.cluster_resources()["CPU"]), "CPU", flush=True)
"""


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as folder, cluster(Path(folder)) as running:
        yield running


def test_a_job_stops_before_its_limit_and_goes_on(slurm: Slurm) -> None:
    job = slurm.submit("python", "-c", WORK, options=("--time=1", "--signal=B:USR1@55"))
    slurm.wait(job, "RUNNING")
    facts = slurm.wait(job, "PENDING")  # Slurm looks for limits every half minute
    assert facts["Restarts"] == "1"
    slurm("scontrol", "update", f"JobId={job}", "StartTime=now")  # else it waits for two minutes
    facts = slurm.wait(job, "COMPLETED")
    assert facts["ExitCode"] == "0:0"
    said = [
        re.sub(r" on n[12]$", "", line) for line in slurm.log(job).splitlines() if not line.startswith("slurmstepd")
    ]
    assert said == [
        f"crl.sbatch: start 1 of job {job}", "works", "ends in order",
        "crl.sbatch: the time limit is near; the command has stopped and goes on when the job is started again",
        f"crl.sbatch: start 2 of job {job}", "works", "is done",
    ]  # fmt: skip


def test_a_cancelled_job_ends_in_order_and_for_good(slurm: Slurm) -> None:
    job = slurm.submit("python", "-c", WORK)
    slurm.wait(job, "RUNNING")
    while "works" not in slurm.log(job):
        slurm.wait(job, "RUNNING")
    slurm("scancel", job)
    assert slurm.wait(job, "CANCELLED")["Restarts"] == "0"
    assert "ends in order" in slurm.log(job)


@pytest.mark.parametrize(("words", "said"), [((), "no command"), (("python", "-c", "raise SystemExit(2)"), "start 1")])
def test_a_fault_is_the_jobs_and_starts_nothing_again(slurm: Slurm, words: tuple[str, ...], said: str) -> None:
    job = slurm.submit(*words)
    facts = slurm.wait(job, "FAILED")
    assert (facts["ExitCode"], facts["Restarts"]) == ("2:0", "0")
    assert said in slurm.log(job)


def test_further_nodes_are_a_ray_cluster_of_the_jobs_own(slurm: Slurm) -> None:
    pytest.importorskip("ray", reason="ray is not installed. Remedy: make cluster")
    for _ in range(3):  # Ray gives a node up that takes 30 s to start, as on a very busy machine
        job = slurm.submit("python", "-c", CLUSTER, options=("--nodes=2",), PREFECT_API_URL="http://prefect:4200/api")
        if slurm.wait(job, "COMPLETED", "FAILED")["JobState"] == "COMPLETED":
            break
    assert "played on n2 of 1 CPU" in slurm.log(job)


def test_nodes_that_could_not_reach_prefect_are_refused(slurm: Slurm) -> None:
    job = slurm.submit("python", "-c", CLUSTER, options=("--nodes=2",))
    assert slurm.wait(job, "FAILED")["ExitCode"] == "2:0"
    assert "PREFECT_API_URL is not set. Remedy" in slurm.log(job)
