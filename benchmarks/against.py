"""Retrieval latency of this checkout's bank beside another checkout's, in turns on one machine.

    python -m benchmarks.against CHECKOUT [--entries 20000] [--callers 32] [--realtime] [--repeats N] [--json FILE]

Each checkout runs its own `benchmarks.bank` in a process of its own: its own bank, retriever and writer. The rows' baseline
is CHECKOUT, which may be a `git worktree` of any commit that has `filled_bank` and `bank_latencies`. `--realtime` gives the
measured process both cores meanwhile (about half a second each time; needs root), without which a busy machine measures its
other work: p99 is then a multiple of what the code takes.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.common import measure_interleaved, row, show, write_json

HERE = Path(__file__).parents[1]
QUERIES_OF_ONE_CALLER, QUERIES = 400, 3_200  # per measurement
SIDE = """
import json, os, sys, tempfile
from pathlib import Path
import numpy as np, torch
from benchmarks.bank import Vectors, bank_latencies, filled_bank
torch.set_num_threads(1)
entries, callers, queries, realtime = map(int, sys.argv[1:])
vectors = Vectors(entries)
with tempfile.TemporaryDirectory() as folder:
    bank = filled_bank(Path(folder), vectors)
    print("ready", flush=True)
    for _ in sys.stdin:
        if realtime:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        took = bank_latencies(bank, vectors, callers, queries)
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        print(json.dumps(np.percentile(took, [50, 99]).tolist()), flush=True)
    bank.close()
"""


@contextmanager
def side(checkout: Path, *arguments: int) -> Iterator[subprocess.Popen[str]]:
    """A process that measures once for each line that it is sent."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    argv = [sys.executable, "-c", SIDE, *(str(int(each)) for each in arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(argv, cwd=checkout, env=environment, text=True, **pipes) as process:
        answer(process)
        yield process
        process.communicate()


def answer(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"the side ended with exit status {process.wait()}. Remedy: see what it printed above")
    return line


def percentiles(process: subprocess.Popen[str], kept: list[list[float]]) -> float:
    """Measure once; the p99, with both percentiles kept."""
    process.stdin.write("\n")
    process.stdin.flush()
    kept.append(json.loads(answer(process)))
    return kept[-1][1]


def main() -> None:
    parser = argparse.ArgumentParser(description="retrieval latency beside another checkout's")
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--realtime", action="store_true", help="leave nothing to other processes meanwhile")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as a JSON list")
    options = parser.parse_args()
    queries = QUERIES_OF_ONE_CALLER if options.callers == 1 else QUERIES
    kept: dict[str, list[list[float]]] = {"here": [], "there": []}
    with ExitStack() as running:
        sides = {
            name: running.enter_context(side(folder, options.entries, options.callers, queries, options.realtime))
            for name, folder in {"here": HERE, "there": options.checkout.resolve()}.items()
        }
        measure_interleaved(
            {name: partial(percentiles, process, kept[name]) for name, process in sides.items()}, options.repeats
        )
    here, there = (list(zip(*pairs[-options.repeats :], strict=True)) for pairs in kept.values())
    rows = [row(name, here[at], there[at], unit="ms") for at, name in enumerate(("p50", "p99"))]
    show(f"{options.entries} entries, {options.callers} callers", rows)
    write_json(rows, options.json)


if __name__ == "__main__":
    main()
