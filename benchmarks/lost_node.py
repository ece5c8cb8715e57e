"""A node of a Ray cluster dies under `co_evolve`, then a learner's worker, with every server real: what was lost, how long it took.

    python -m benchmarks.lost_node [--repeats N] [--json FILE]

Needs what docs/servers.md starts for a run: the warm start of `crl compose servers`, the servers of `make servers` and
their addresses in the environment. Two nodes with one CPU each are started on this machine as processes of their own;
the flow plays its shards on both, and each model learns in two workers. Six seconds after round 1 was committed the second node
gets SIGKILL; six seconds after round 3, a worker of the actor's learner.

`round_with_a_lost_node`, `round_with_a_lost_worker`: seconds of the round that it falls into, against the median of the other
rounds that one node played alone. `success_free`, `success_guided`: shares of all episodes of the run, against those of a run with
the same seed in which nothing dies; servers batch as they are asked, so no two runs are alike, and the repeats' other seeds say
how much they differ anyway. The command fails unless the run ends, every round has all its episodes, each was shown something
once, and the lost worker's group was started again once.
"""

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.common import Row, main, row
from crl.bank.ledger import FILE_NAME as LEDGER
from crl.config import load
from crl.config.compose import compose, dump
from crl.config.rollout import RolloutConfig
from crl.errors import DataError
from flows.stage.paths import STATE
from tests.flows.ray_cluster import SETTINGS, Node, head, worker

ROUNDS = 7
NODE_LOST, WORKER_LOST = 2, 4  # in these rounds
DELAY_S = 6.0  # after the round before was committed
POLL_S = 0.5


def run(repeats: int) -> list[Row]:
    # Another seed, or another parameter: a run that is over does nothing.
    lost = [_measured(seed, disturbed=True) for seed in range(7, 7 + repeats)]
    whole = [_measured(seed, disturbed=False) for seed in range(7, 7 + repeats)]
    others = [run.seconds for run in lost]
    return [
        row("round_with_a_lost_node", [run.with_lost_node for run in lost], others, unit="s"),
        row("round_with_a_lost_worker", [run.with_lost_worker for run in lost], others, unit="s"),
        row("success_free", [run.free for run in lost], [run.free for run in whole], unit="share"),
        row("success_guided", [run.guided for run in lost], [run.guided for run in whole], unit="share"),
    ]


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one run."""

    with_lost_node: float  # seconds of that round
    with_lost_worker: float
    seconds: float  # the median of the others after the first loss
    free: float  # success, the mean of all rounds
    guided: float


def _measured(seed: int, *, disturbed: bool) -> Measured:
    changes = [
        *(f"learn.{role}.workers=2" for role in ("actor", "extractor")), "run.task_runner=ray", "envs.workers=1",
        f"rounds.count={ROUNDS}", f"run.seed={seed}",
        f"learn.actor.max_mismatch={1000 + disturbed}",  # which nothing reaches: both are runs of their own
    ]  # fmt: skip
    os.environ.update(SETTINGS)
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as made:  # short: Ray's sockets lie in it
        folder = Path(made)
        params = folder / "params.yaml"
        params.write_text(dump(compose("servers", changes)))
        first, port = head(folder)
        nodes = [first]
        try:
            os.environ["CRL_RAY_ADDRESS"] = f"127.0.0.1:{port}"
            nodes.append(worker(folder, port))
            lineage = _played(params, nodes[1] if disturbed else None)
        finally:
            for node in nodes:
                node.kill()
        return _checked(lineage, load(params).rollout, disturbed=disturbed)


def _played(params: Path, victim: Node | None) -> Path:
    """The folder of the run, once it has ended. The victim, if there is one, and a worker die on the way."""
    before = _runs()
    flow = subprocess.Popen([sys.executable, "-m", "flows.co_evolve", "--params", str(params)])
    losses = ((NODE_LOST, victim.kill), (WORKER_LOST, lambda: _worker_of(flow.pid).kill())) if victim else ()
    for round_, kill in losses:
        while flow.poll() is None and _committed(_runs() - before) < round_:
            time.sleep(POLL_S)
        time.sleep(DELAY_S)
        kill()
    if flow.wait():
        raise DataError(f"the flow ended with status {flow.returncode}. Remedy: see its log above")
    (lineage,) = _runs() - before
    return lineage


def _worker_of(flow: int) -> psutil.Process:
    """A worker of a learner. The extractor's group is opened first, so the last ones are the actor's."""
    return [child for child in psutil.Process(flow).children(recursive=True) if "crl.learn.worker" in child.cmdline()][
        -1
    ]


def _runs() -> set[Path]:
    return {folder for folder in STATE.glob("*") if folder.is_dir()}


def _committed(runs: set[Path]) -> int:
    return sum(len(list(folder.glob("reports/round_*.json"))) for folder in runs)


def _checked(lineage: Path, rollout: RolloutConfig, *, disturbed: bool) -> Measured:
    reports = [json.loads(file.read_text())["metrics"] for file in sorted(lineage.glob("reports/round_*.json"))]
    episodes = rollout.groups * rollout.group_size
    short = [number for number, found in enumerate(reports) if found["rollout/episodes"] != episodes]
    with sqlite3.connect(lineage / "bank" / LEDGER) as ledger:
        twice = ledger.execute("SELECT count(*) - count(DISTINCT key) FROM shown").fetchone()[0]
    restarts = sum(found.get(f"{role}/worker_restarts", 0) for found in reports for role in ("actor", "extractor"))
    if short or twice or restarts != disturbed:
        raise DataError(
            f"rounds {short} lack episodes, {twice} episodes were shown something twice, {restarts:.0f} restarts of learners"
        )
    seconds, nodes = ([found[name] for found in reports] for name in ("time/round_s", "rollout/nodes"))
    if disturbed and nodes[NODE_LOST:] != [1.0] * len(nodes[NODE_LOST:]):
        raise DataError(f"nodes per round: {nodes}. Remedy: the node died too late for its round; repeat")
    others = [took for round_, took in enumerate(seconds) if round_ > NODE_LOST and round_ != WORKER_LOST]
    free, guided = (
        statistics.fmean(found[f"rollout/success_{arm}"] for found in reports) for arm in ("free", "guided")
    )
    return Measured(seconds[NODE_LOST], seconds[WORKER_LOST], statistics.median(others), free, guided)


if __name__ == "__main__":
    main("lost node: nothing else was lost", run, repeats=1)
