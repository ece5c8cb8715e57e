"""`make run` again and again while a script of a chosen seed disturbs it: kills, full disks, moves, restarts, deletions.

    python -m benchmarks.soak [--minutes 120] [--seed 7] [--folder DIR] [--json FILE] [KEY=VALUE ...]

First an undisturbed run of `quick` with these overrides, then disturbed ones until the time is over: each in a clean clone,
struck two to six times at moments that the seed chooses and started again as a person would; every second one with Prefect
and MLflow on servers. Once it has ended well, its outs must be those of the undisturbed run by DVC's hashes, every metric
(stage, name, step) and every trace must be in MLflow exactly once, nothing may wait in the spool, and no process or temporary
file may be left. The command fails where one of that does not hold. The script depends on the seed alone; what it meets
depends on the machine.
"""

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.common import write_json
from benchmarks.soak import checks
from benchmarks.soak.faults import ALONE, WITH_SERVERS, Struck
from benchmarks.soak.world import LONGEST_S, Disk, Run, Servers, variables
from crl.errors import DataError
from flows.local import stops
from tests.end_to_end import checkout as clean_clone

STRIKES = (2, 6)  # per pipeline, at least and at most
LATEST = 0.6  # of an undisturbed run's time: what is started again has less to do
GRACE_S = 60.0  # after a signal: the servers are stopped, and what was found is shown
console = Console()


@dataclass
class Strike:
    """One fault that hit a run."""

    fault: str
    after_s: float  # since the run was started
    code: int = 0  # with which the run ended
    ended_s: float = 0.0  # from the strike to the end of the command
    gone_s: float = 0.0  # from there until no process of it was left


@dataclass
class Cycle:
    """One pipeline, from a clean clone to its report."""

    name: str
    servers: bool
    strikes: list[Strike] = field(default_factory=list)
    runs: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


class Soak:
    """An undisturbed pipeline, and the disturbed ones that are compared with it."""

    def __init__(self, disk: Disk, servers: Servers, overrides: Sequence[str], logs: Path) -> None:
        self.disk, self.servers, self.logs = disk, servers, logs
        self.clone = disk.at / "clone"  # made once: this checkout may be worked in meanwhile
        self.clone.mkdir()
        clean_clone(self.clone, "quick", overrides)

    def reference(self) -> Cycle:
        cycle = Cycle("undisturbed", servers=False)
        self._run(cycle, random.Random(0), strikes=0)
        self.outs, self.records = self._outs, self._records
        return cycle

    def disturbed(self, number: int, rng: random.Random) -> Cycle:
        cycle = Cycle(f"disturbed {number}", servers=number % 2 == 0)
        self._run(cycle, rng, strikes=rng.randint(*STRIKES))
        if not cycle.faults:
            self._compare(cycle)
        return cycle

    def _run(self, cycle: Cycle, rng: random.Random, strikes: int) -> None:
        """Until the command ends well; then what it left."""
        made = self.disk.at / cycle.name.replace(" ", "-")
        checkout, start = shutil.copytree(self.clone, made, symlinks=True), time.monotonic()
        known = checks.pipelines(self.servers.addresses["MLFLOW_TRACKING_URI"]) if cycle.servers else set()
        code = None
        try:
            while code != 0:
                code, checkout = self._once(cycle, checkout, rng, strike=len(cycle.strikes) < strikes)
            cycle.seconds = time.monotonic() - start
            self._look(cycle, checkout, known)
        except DataError as error:
            cycle.faults.append(str(error))
            if (spool := checkout / "runs/spool").is_dir():
                shutil.copytree(spool, self.logs / f"{made.name}-spool")
        shutil.rmtree(checkout, ignore_errors=True)

    def _once(self, cycle: Cycle, checkout: Path, rng: random.Random, *, strike: bool) -> tuple[int, Path]:
        """One start of the command, struck or not. Its exit status, and where the checkout is now."""
        addresses = self.servers.addresses if cycle.servers else {}
        run = Run(
            checkout, self.logs / f"{cycle.name.replace(' ', '-')}.log", variables(checkout, self.disk, addresses)
        )
        cycle.runs += 1
        try:
            moment = rng.uniform(0.0, LATEST * self.length_s) if strike else LONGEST_S
            fault = rng.choice(WITH_SERVERS if cycle.servers else ALONE)
            if run.ended(moment):
                run.gone_after_s()
                if code := run.process.returncode:
                    raise DataError(f"not struck, it ended with status {code}: see {run.log}")
                return 0, checkout
            if not strike:
                raise DataError(f"not struck, it had not ended after {LONGEST_S:g} s: see {run.log}")
            struck, start = Strike(fault.__name__, moment), time.monotonic()
            fault(Struck(run, self.disk, self.servers if cycle.servers else None, rng))
            if not run.ended(LONGEST_S):
                raise DataError(f"{fault.__name__} after {moment:.0f} s: it had not ended {LONGEST_S:g} s later")
            struck.code, struck.ended_s = run.process.returncode, time.monotonic() - start
            struck.gone_s = run.gone_after_s()
            cycle.strikes.append(struck)
            console.print(
                f"  {struck.fault} after {moment:.0f} s: status {struck.code}, ended {struck.ended_s:.1f} s later, all gone "
                f"{struck.gone_s:.1f} s later",
                highlight=False, soft_wrap=True,
            )  # fmt: skip
            return struck.code, run.checkout
        finally:
            run.kill()

    def _look(self, cycle: Cycle, checkout: Path, known: set[str]) -> None:
        addresses = self.servers.addresses if cycle.servers else {}
        cycle.faults += checks.nothing_waits(checkout, variables(checkout, self.disk, addresses))
        if left := checks.left_behind(self.disk.at / "tmp"):
            cycle.faults.append(f"temporary files: {', '.join(left)}")
            for name in left:
                shutil.rmtree(self.disk.at / "tmp" / name, ignore_errors=True)
        uri = addresses.get("MLFLOW_TRACKING_URI", f"sqlite:///{checkout}/mlflow.db")
        self._outs = checks.outs(checkout)
        self._records = checks.records(uri, checks.pipelines(uri) - known)

    def _compare(self, cycle: Cycle) -> None:
        for stage, wanted in self.outs.items():
            for path, md5 in wanted.items():
                if (found := self._outs.get(stage, {}).get(path)) != md5:
                    cycle.faults.append(f"{stage}: {path} is {found} instead of {md5}")
        if repeated := self._records.repeated():
            cycle.faults.append(f"more than once in MLflow: {len(repeated)}: {', '.join(repeated[:5])}")
        if missing := self._records.missing(self.records):
            cycle.faults.append(f"not in MLflow: {len(missing)}: {', '.join(missing[:5])}")


def soak(minutes: float, seed: int, folder: Path, overrides: Sequence[str]) -> list[Cycle]:
    """All cycles. Logs lie in the folder."""
    until, rng, cycles = time.monotonic() + 60 * minutes, random.Random(seed), []
    servers = Servers(folder / "servers")
    with Disk(folder / "disk") as disk:
        this = Soak(disk, servers, overrides, folder)
        try:
            servers.start()
            this.length_s = LONGEST_S
            cycles.append(this.reference())
            told(cycles[-1])
            this.length_s = cycles[0].seconds
            while time.monotonic() < until:
                console.print(
                    cycles[-1].name, f"{cycles[-1].seconds:.0f} s", *cycles[-1].faults, sep="\n  ", markup=False
                )
                cycles.append(this.disturbed(len(cycles), random.Random(rng.random())))
        except KeyboardInterrupt:
            console.print("interrupted: the pipeline that was at work does not count")
        finally:
            servers.stop()
    return cycles


def told(cycle: Cycle) -> None:
    console.print(f"{cycle.name}: {cycle.seconds:.0f} s", *cycle.faults, sep="\n  ", markup=False, highlight=False)


def show(cycles: Sequence[Cycle]) -> None:
    struck: dict[str, list[Strike]] = defaultdict(list)
    for strike in (strike for cycle in cycles for strike in cycle.strikes):
        struck[strike.fault].append(strike)
    table = Table(title=f"{len(cycles) - 1} disturbed pipelines, {sum(map(len, struck.values()))} strikes")
    table.add_column("fault", no_wrap=True)
    for heading in ("times", "went on", "s to its end", "longest", "s to the last process", "longest"):
        table.add_column(heading, justify="right")
    for fault, strikes in sorted(struck.items()):
        ended = [strike.ended_s for strike in strikes if strike.code]
        gone = [strike.gone_s for strike in strikes]
        figures = (f(values) for values in (ended, gone) for f in (_median, _longest))
        table.add_row(fault, str(len(strikes)), str(sum(not strike.code for strike in strikes)), *figures)
    console.print(table)
    for cycle in cycles:
        for fault in cycle.faults:
            console.print(f"{cycle.name}: {fault}", style="red", markup=False)


def _median(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f}" if values else "-"


def _longest(values: Sequence[float]) -> str:
    return f"{max(values):.1f}" if values else "-"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--minutes", type=float, default=120.0, help="no new pipeline after these (default %(default)g)"
    )
    parser.add_argument("--seed", type=int, default=7, help="of the script (default %(default)d)")
    parser.add_argument("--folder", type=Path, default=None, help="for logs, servers and the disk (default: a new one)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the cycles as JSON")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="smaller than quick: the same faults, more often"
    )
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="crl-soak-", dir="/tmp"))
    console.print(f"logs: {folder}")
    with stops.heard(GRACE_S):
        cycles = soak(given.minutes, given.seed, folder.resolve(), given.overrides)
    show(cycles)
    write_json(cycles, given.json)
    return 1 if any(cycle.faults for cycle in cycles) else 0


if __name__ == "__main__":
    sys.exit(main())
