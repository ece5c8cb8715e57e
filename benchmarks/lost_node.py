"""A node of a Ray cluster dies under `co_evolve`, then a learner's worker, with every server real: what was lost, how long it took.

    python -m benchmarks.lost_node [--repeats N] [--json FILE]

Needs what docs/servers.md starts for a run: the warm start of `crl compose servers`, the servers of `make servers` and
their addresses in the environment. Two nodes with one CPU each are started on this machine as processes of their own;
the flow plays its shards on both, and each model learns in two workers. Six seconds after round 1 was committed the second node
gets SIGKILL; six seconds after round 3, a worker of the actor's learner.

`round_with_a_lost_node`, `round_with_a_lost_worker`: seconds of the round that it falls into, against the median of the other
rounds that one node played alone. The command fails unless the run ends, every round has all its episodes, each was shown something
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
    seconds = [_measured(seed) for seed in range(7, 7 + repeats)]  # another seed: a run that is over does nothing
    node, worker_, others = zip(*seconds, strict=True)
    return [
        row("round_with_a_lost_node", node, others, unit="s"),
        row("round_with_a_lost_worker", worker_, others, unit="s"),
    ]


def _measured(seed: int) -> tuple[float, float, float]:
    """Seconds of the rounds with a lost node and with a lost worker, and the median of the others after the first loss."""
    learners = [f"learn.{role}.workers=2" for role in ("actor", "extractor")]
    changes = [
        *learners, "run.task_runner=ray", "envs.workers=1", f"rounds.count={ROUNDS}", f"run.seed={seed}",
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
            lineage = _played(params, nodes[1])
        finally:
            for node in nodes:
                node.kill()
        return _seconds(lineage, load(params).rollout)


def _played(params: Path, victim: Node) -> Path:
    """The folder of the run, once it has ended. The victim, and a worker, die on the way."""
    before = _runs()
    flow = subprocess.Popen([sys.executable, "-m", "flows.co_evolve", "--params", str(params)])
    for round_, kill in ((NODE_LOST, victim.kill), (WORKER_LOST, lambda: _worker_of(flow.pid).kill())):
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


def _seconds(lineage: Path, rollout: RolloutConfig) -> tuple[float, float, float]:
    reports = [json.loads(file.read_text())["metrics"] for file in sorted(lineage.glob("reports/round_*.json"))]
    episodes = rollout.groups * rollout.group_size
    short = [number for number, found in enumerate(reports) if found["rollout/episodes"] != episodes]
    with sqlite3.connect(lineage / "bank" / LEDGER) as ledger:
        twice = ledger.execute("SELECT count(*) - count(DISTINCT key) FROM shown").fetchone()[0]
    restarts = sum(found.get(f"{role}/worker_restarts", 0) for found in reports for role in ("actor", "extractor"))
    if short or twice or restarts != 1:
        raise DataError(
            f"rounds {short} lack episodes, {twice} episodes were shown something twice, {restarts:.0f} restarts of learners"
        )
    seconds, nodes = ([found[name] for found in reports] for name in ("time/round_s", "rollout/nodes"))
    if nodes[NODE_LOST:] != [1.0] * len(nodes[NODE_LOST:]):
        raise DataError(f"nodes per round: {nodes}. Remedy: the node died too late for its round; repeat")
    others = [took for round_, took in enumerate(seconds) if round_ > NODE_LOST and round_ != WORKER_LOST]
    return seconds[NODE_LOST], seconds[WORKER_LOST], statistics.median(others)


if __name__ == "__main__":
    main("lost node: nothing else was lost", run, repeats=1)
