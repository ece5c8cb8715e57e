"""What all benchmarks share: both sides measured in one run, interleaved; one kind of row; one command line."""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crl.errors import CrlError
from crl.plan.memory import GIB

Measure = Callable[[], float]  # runs one side once and gives its figure in the row's unit


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a benchmark: medians over `repeats`, their ratio, and the range of the ratio from repeat to repeat."""

    name: str
    figure: float
    baseline: float
    ratio: float  # figure / baseline
    ratio_low: float
    ratio_high: float
    unit: str
    repeats: int
    machine: str


def measure_interleaved(sides: Mapping[str, Measure], repeats: int, warmups: int = 1) -> dict[str, list[float]]:
    """Every side's figures. Sides take turns, in alternating order, so that a slow minute hits all of them."""
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(-warmups, repeats):
        for name in sides if repeat % 2 == 0 else reversed(sides):
            figure = sides[name]()
            if repeat >= 0:
                figures[name].append(figure)
    return figures


def compare(name: str, figure: Measure, baseline: Measure, *, unit: str, repeats: int, warmups: int = 1) -> Row:
    """Measure both sides interleaved and give the row of their medians."""
    figures = measure_interleaved({"figure": figure, "baseline": baseline}, repeats, warmups)
    return row(name, figures["figure"], figures["baseline"], unit=unit)


def row(name: str, figures: Sequence[float], baselines: Sequence[float], *, unit: str) -> Row:
    """The row of two sides that were measured equally often."""
    if len(figures) != len(baselines):
        raise ValueError(f"{name}: {len(figures)} figures but {len(baselines)} baselines. Remedy: measure both alike")
    figure, baseline = statistics.median(figures), statistics.median(baselines)
    ratios = [one / other for one, other in zip(figures, baselines, strict=True)]
    return Row(name, figure, baseline, figure / baseline, min(ratios), max(ratios), unit, len(figures), machine())


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_gib(process: int | str = "self") -> float:
    """The most memory that a process has held since it began, or since it was told to forget that (/proc/PID/clear_refs)."""
    return _status_gib(process, "VmHWM")


def private_gib(process: int | str = "self") -> float:
    """What a process holds of memory that is no file's."""
    return _status_gib(process, "RssAnon")


def _status_gib(process: int | str, field: str) -> float:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(status[field].split()[0]) * 1024 / GIB


def machine() -> str:
    """Where it was measured: processor, cores this process may use, Python."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = (line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line)
        model = next(names, model)
    return f"{model}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"


def show(title: str, rows: Sequence[Row]) -> None:
    table = Table(title=title, caption=rows[0].machine if rows else None)
    table.add_column("row")
    for heading in ("figure", "baseline", "ratio", "from", "to"):
        table.add_column(heading, justify="right")
    table.add_column("unit")
    table.add_column("repeats", justify="right")
    for line in rows:
        figures = (
            f"{value:,.4g}" for value in (line.figure, line.baseline, line.ratio, line.ratio_low, line.ratio_high)
        )
        table.add_row(line.name, *figures, line.unit, str(line.repeats))
    Console().print(table)


def told(refused: CrlError) -> str:
    """A refusal without its remedy, on one line of a table."""
    return " ".join(str(refused).partition(". Remedy")[0].split())


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table for a page of docs/."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, ["---"] * len(headings), *lines))


def print_table(title: str, headings: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    table = Table(title=title)
    for heading in headings:
        table.add_column(heading)
    for line in lines:
        table.add_row(*map(escape, line))
    Console().print(table)


def write_json(rows: Sequence[Any], file: Path | None) -> None:
    """Rows that are dataclasses, as a JSON list; None: nowhere."""
    if file:
        file.write_text(json.dumps([asdict(line) for line in rows], indent=2) + "\n")


def main(title: str, run: Callable[[int], Sequence[Row]], repeats: int = 5) -> None:
    """`python -m benchmarks.NAME [--repeats N] [--json FILE]`; `run(repeats)` gives the rows."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--repeats", type=int, default=repeats, help="measurements of each side (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as a JSON list")
    options = parser.parse_args()
    rows = run(options.repeats)
    show(title, rows)
    write_json(rows, options.json)
