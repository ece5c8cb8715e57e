"""What orchestration and recording cost: the same rounds as a flow in the pipeline, and as plain calls.

    python -m benchmarks.orchestration [--repeats N] [--json FILE]

One side plays rounds of the quick profile with plain calls of `CoEvolution.play_round`. The other runs the stage
`co_evolve` through DVC, with a Prefect server and MLflow recording (one batch, two traces and two artifacts a round).
Both run in processes of their own, in lockstep, from the same models. A round lasts from one commit to the next, as the
times of the committed reports tell, so everything between rounds counts.

The cost of a round's orchestration does not grow with the round: a paper-scale round has as many task runs. So it
is measured on short rounds, where noise hides it least, and `flow_vs_plain` is a round of 60 s plus that cost against
60 s. Rows:

    flow_vs_plain       60 s + cost against 60 s (aim: 1.03)
    cost_per_round      seconds that the flow adds to a round, against the 1.8 s that 3 % of a minute allow
    short_round         a quick round as it was measured, flow against plain
    per_stage           seconds of the stage outside its rounds: DVC, imports, the flow's start, registering models
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.common import Row, main, measure_interleaved, row, seconds
from benchmarks.quick import quick_config, warm_models
from crl.config import Config
from crl.config.compose import dump
from crl.round.state import latest_state
from flows.local import prefect_server
from flows.stage.paths import BASE, STATE

ROOT = Path(__file__).parents[1]
ROUNDS, MINUTE_S, AIM = 8, 60.0, 0.03
_PLAIN = """
import asyncio, sys
from pathlib import Path
from crl.round.coevolution import CoEvolution
from crl.tasks.sets import TaskSets
from crl.config import load

async def play():
    state, base = Path("runs/co_evolve"), Path("runs/warm_start")
    config = load("params.yaml")
    tasks = TaskSets.generate(config)
    co = CoEvolution.open(config, folder=state, actor=base / "actor", extractor=base / "extractor", tasks=tasks)
    while co.next_round < co.rounds_total:
        await co.play_round()
    await co.finish()
    await co.close()

asyncio.run(play())
"""


@dataclass(frozen=True)
class Side:
    """One way to play the rounds in a checkout."""

    command: tuple[str, ...]
    checkout: Path
    environment: dict[str, str]
    stages_s: list[float]

    def round_s(self) -> float:
        """Run the stage; seconds of a round, the median of all but the first."""
        shutil.rmtree(self.checkout / STATE, ignore_errors=True)
        self.stages_s.append(seconds(self._run))
        reports = sorted((latest_state(self.checkout / STATE) / "reports").glob("round_*.json"))
        commits_s = [report.stat().st_mtime_ns / 1e9 for report in reports]
        return statistics.median(after - before for before, after in pairwise(commits_s))

    def _run(self) -> None:
        done = subprocess.run(
            self.command, cwd=self.checkout, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(self.command)[:80]} ended with {done.returncode}:\n{done.stderr[-3000:]}")


def make_checkout(folder: Path, config: Config) -> None:
    """What `dvc repro` needs, with base models in place."""
    for name in ("crl", "flows", "conf", "mlflow", "dvc.yaml", ".dvcignore"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    (folder / ".dvc").mkdir()
    shutil.copy2(ROOT / ".dvc/config", folder / ".dvc/config")
    (folder / "params.yaml").write_text(dump(config.model_dump(mode="json")))
    subprocess.run(["git", "init", "-q", "."], cwd=folder, check=True)
    warm_models(config, folder / BASE)


def run(repeats: int) -> list[Row]:
    config = quick_config(f"rounds.count={ROUNDS}", schedule="lockstep")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    with tempfile.TemporaryDirectory() as temporary:
        checkout = Path(temporary)
        make_checkout(checkout, config)
        with prefect_server.running(checkout / ".prefect") as api:
            through_dvc = (sys.executable, "-m", "dvc", "repro", "-q", "-s", "-f", "co_evolve")
            served = environment | ({"PREFECT_API_URL": api} if api else {})
            flow = Side(through_dvc, checkout, served, [])
            plain = Side((sys.executable, "-c", _PLAIN), checkout, environment, [])
            rounds = measure_interleaved({"flow": flow.round_s, "plain": plain.round_s}, repeats, warmups=0)
    costs = [ours - theirs for ours, theirs in zip(rounds["flow"], rounds["plain"], strict=True)]
    outside = {
        name: [stage - ROUNDS * one for stage, one in zip(side.stages_s, rounds[name], strict=True)]
        for name, side in (("flow", flow), ("plain", plain))
    }
    return [
        row("flow_vs_plain", [MINUTE_S + cost for cost in costs], [MINUTE_S] * repeats, unit="s"),
        row("cost_per_round", costs, [AIM * MINUTE_S] * repeats, unit="s"),
        row("short_round", rounds["flow"], rounds["plain"], unit="s"),
        row("per_stage", outside["flow"], outside["plain"], unit="s"),
    ]


if __name__ == "__main__":
    main("Orchestration: flow, server, DVC and MLflow against plain calls", run, repeats=3)
