"""A node of a Ray cluster dies under `co_evolve` while every server is real: what was lost, how long the round took.

    python -m benchmarks.lost_node [--repeats N] [--json FILE]

Needs what docs/servers.md starts for a run: the warm start of `crl compose servers`, the servers of `make servers` and
their addresses in the environment. Two nodes with one CPU each are started on this machine as processes of their own;
the flow plays its shards on both. Six seconds after round 1 was committed the second node gets SIGKILL.

`round_with_a_loss`: seconds of the round that it falls into, against the median of the rounds that one node played
alone. The command fails unless the run ends, every round has all its episodes, and each was shown something once.
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

from benchmarks.common import Row, main, row
from crl.bank.ledger import FILE_NAME as LEDGER
from crl.config import load
from crl.config.compose import compose, dump
from crl.config.rollout import RolloutConfig
from crl.errors import DataError
from flows.stage.paths import STATE
from tests.flows.ray_cluster import SETTINGS, Node, head, worker

ROUNDS = 5
COMMITTED, DELAY_S = 1, 6.0  # the round after which the node dies, and how long after
POLL_S = 0.5


def run(repeats: int) -> list[Row]:
    seconds = [_measured(seed) for seed in range(7, 7 + repeats)]  # another seed: a run that is over does nothing
    losses, others = zip(*seconds, strict=True)
    return [row("round_with_a_loss", losses, others, unit="s")]


def _measured(seed: int) -> tuple[float, float]:
    """Seconds of the round with the loss, and the median of those that followed."""
    changes = ["run.task_runner=ray", "envs.workers=1", f"rounds.count={ROUNDS}", f"run.seed={seed}"]
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
    """The folder of the run, once it has ended. The victim dies on the way."""
    before = _runs()
    flow = subprocess.Popen([sys.executable, "-m", "flows.co_evolve", "--params", str(params)])
    while flow.poll() is None and _committed(_runs() - before) <= COMMITTED:
        time.sleep(POLL_S)
    time.sleep(DELAY_S)
    victim.kill()
    if flow.wait():
        raise DataError(f"the flow ended with status {flow.returncode}. Remedy: see its log above")
    (lineage,) = _runs() - before
    return lineage


def _runs() -> set[Path]:
    return {folder for folder in STATE.glob("*") if folder.is_dir()}


def _committed(runs: set[Path]) -> int:
    return sum(len(list(folder.glob("reports/round_*.json"))) for folder in runs)


def _seconds(lineage: Path, rollout: RolloutConfig) -> tuple[float, float]:
    reports = [json.loads(file.read_text())["metrics"] for file in sorted(lineage.glob("reports/round_*.json"))]
    episodes = rollout.groups * rollout.group_size
    short = [number for number, found in enumerate(reports) if found["rollout/episodes"] != episodes]
    with sqlite3.connect(lineage / "bank" / LEDGER) as ledger:
        twice = ledger.execute("SELECT count(*) - count(DISTINCT key) FROM shown").fetchone()[0]
    if short or twice:
        raise DataError(f"rounds {short} lack episodes, {twice} episodes were shown something twice")
    seconds, nodes = ([found[name] for found in reports] for name in ("time/round_s", "rollout/nodes"))
    lost = COMMITTED + 1
    if nodes[lost:] != [1.0] * len(nodes[lost:]):
        raise DataError(f"nodes per round: {nodes}. Remedy: the node died too late for its round; repeat")
    return seconds[lost], statistics.median(seconds[lost + 1 :])


if __name__ == "__main__":
    main("lost node: nothing else was lost", run, repeats=1)
