"""A node of a Ray cluster dies under `co_evolve` while every server is real: what was lost, how long the round took.

    python -m benchmarks.lost_node [--rounds N] [--json FILE]

Needs what docs/servers.md starts for a run: the warm start of `crl compose servers`, the servers of `make servers` and
their addresses in the environment. Two nodes with one CPU each are started on this machine as processes of their own;
the flow plays its shards on both. Six seconds after round 1 was committed the second node gets SIGKILL.

`round_with_a_loss`: seconds of the round that it falls into, against the median of the rounds that one node played
alone. The command fails unless the run ends, every round has all its episodes, and each was shown something once.
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.common import Row, row, show
from crl.bank.ledger import FILE_NAME as LEDGER
from crl.config import load
from crl.config.compose import compose, dump
from crl.config.play import RolloutConfig
from crl.errors import DataError
from flows.paths import STATE
from flows.servers.process import free_port
from tests.flows.ray_cluster import SETTINGS, Node, head, worker

COMMITTED, DELAY_S = 1, 6.0  # the round after which the node dies, and how long after
POLL_S = 0.5


def run(rounds: int) -> list[Row]:
    changes = ["run.task_runner=ray", "envs.workers=1", f"rounds.count={rounds}"]
    os.environ.update(SETTINGS)
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as made:  # short: Ray's sockets lie in it
        folder, port = Path(made), free_port()
        params = folder / "params.yaml"
        params.write_text(dump(compose("servers", changes)))
        os.environ["CRL_RAY_ADDRESS"] = f"127.0.0.1:{port}"
        nodes = [head(folder, port, free_port()), worker(folder, port)]
        try:
            lineage = _played(params, nodes[1])
        finally:
            for node in nodes:
                node.kill()
        return _rows(lineage, load(params).rollout)


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


def _rows(lineage: Path, rollout: RolloutConfig) -> list[Row]:
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
    return [row("round_with_a_loss", [seconds[lost]], [statistics.median(seconds[lost + 1 :])], unit="s")]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="a Ray node dies in mid-round, with every server real")
    parser.add_argument("--rounds", type=int, default=5, help="of the run (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as a JSON list")
    options = parser.parse_args(arguments)
    rows = run(options.rounds)
    show("lost node: nothing was lost", rows)
    if options.json:
        options.json.write_text(json.dumps([asdict(line) for line in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
