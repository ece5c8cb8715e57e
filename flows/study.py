"""A study: arms x seeds, several runs at once, resumable; the raw results as one table, all of it under one parent run in MLflow.

Reads `conf/study/NAME.yaml`; works in `runs/study/NAME/`, where a killed study goes on; writes `studies/NAME.parquet`, which
`crl compare NAME` reads, and with which a study goes on in a fresh checkout of the same commit. No stage of DVC: a run takes hours,
and DVC removes what a stage puts out before it starts it again.
"""

import argparse
import asyncio
import hashlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from prefect import flow, get_run_logger, task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE

from crl.errors import ConfigError, RunStopped
from crl.study import results
from crl.study.comparison import Comparison, compare, findings
from crl.study.definition import Study, load_study, studies
from crl.study.metrics import METRICS
from crl.study.place import ROOT, StudyRun
from crl.study.tables import tables
from flows.local import prefect_server, stops
from flows.local.command import command, console
from flows.pipeline import interpreter_first, run_logged
from flows.stage import lineage
from flows.tracking.recording import LONGEST_CLOSE_S, STOPPED_CLOSE_S, Tracker
from flows.tracking.stage_record import StageRecord, Status

RESULTS = Path("studies")


class RunFailed(RuntimeError):
    """A run's process ended with an error; its last lines are in the message."""


@flow(name="study", flow_run_name="study {name}")
async def study_flow(
    name: str, at_once: int = 2, arms: tuple[str, ...] = (), seeds: tuple[int, ...] = (), root: Path = ROOT
) -> None:
    """Play the runs of a study that have not ended, `at_once` at a time, seed by seed; then collect and record what they say.

    Args:
        name: a study of `conf/study`
        at_once: processes at once; one fills a core
        arms: only these; all when empty
        seeds: only these; all when empty

    Cost: a run of `quick`'s size takes about as long as `make run` without its report. A run that fails costs no other run.
    """
    study = load_study(name)
    every = [StudyRun(study, arm, seed, root) for arm, seed in study.runs]
    table = RESULTS / f"{name}.parquet"
    if table.exists():
        results.restore(table, every)
    chosen = wanted(every, arms, seeds)
    waiting = [run for run in chosen if not run.done]
    console.print(f"study {name}: {len(chosen)} runs, {len(waiting)} to play, {at_once} at once", highlight=False)
    turn = asyncio.Semaphore(at_once)
    with recorded(study) as records:
        for run in chosen:
            if run.done:  # a kill may have come before its record
                records.run(run)

        async def play(run: StudyRun) -> None:
            async with turn:
                await play_run.with_options(task_run_name=f"{run.arm} {run.seed}")(name, run.arm, run.seed, root)
            records.run(run)
            results.write(results.collect(every), table)
            console.print(f"{run.arm} {run.seed}: played", highlight=False)

        ends = await asyncio.gather(*map(play, waiting), return_exceptions=True)
        if any(run.done for run in every):
            results.write(results.collect(every), table)
            await publish(study, results.read(table), records)
        pairs = zip(waiting, ends, strict=True)
        if failed := [f"{run.arm} {run.seed}: {end}" for run, end in pairs if isinstance(end, BaseException)]:
            raise RunStopped(
                f"{len(failed)} of {len(waiting)} runs did not end. {failed[0]}. Remedy: mend the cause and run the same "
                "command; what was played is kept"
            )


def wanted(runs: Sequence[StudyRun], arms: Sequence[str], seeds: Sequence[int]) -> list[StudyRun]:
    """The runs of these arms and seeds; none named: all. Raises ConfigError for one that the study does not have."""
    study = runs[0].study
    for what, named, known in (("arms", arms, tuple(study.arms)), ("seeds", seeds, study.seeds)):
        if strangers := [each for each in named if each not in known]:
            raise ConfigError(f"{what} = {strangers}: not in study {study.name}. Remedy: use some of {list(known)}")
    return [run for run in runs if run.arm in (arms or study.arms) and run.seed in (seeds or study.seeds)]


@task(cache_policy=NO_CACHE, persist_result=False)
async def play_run(study: str, arm: str, seed: int, root: Path) -> None:
    """One run as a process of its own, which ends with this one. Raises RunFailed."""
    argv = [sys.executable, "-m", "crl.study.play", study, arm, str(seed), "--root", str(root)]
    alone = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    code, last_lines = await run_logged(argv, interpreter_first() | alone, get_run_logger().info)
    if code:
        raise RunFailed(f"`{' '.join(argv[1:])}` ended with {code}:\n" + "\n".join(last_lines[-8:]))


async def publish(study: Study, table: pd.DataFrame, records: "StudyRecord") -> None:
    """The comparison, as far as it goes, in Prefect's pages and in MLflow."""
    if study.reference not in set(table["arm"]):
        return
    made = await asyncio.to_thread(compare, study, table)
    records.comparison(made)
    parts = [rows.markdown() for rows in tables(made)] + [
        "\n".join(f"- {finding.text()}" for finding in findings(study, table))
    ]
    key = f"study-{study.name.replace('_', '-')}"
    await acreate_markdown_artifact("\n\n".join(parts), key=key, description=f"Study {study.name}, {made.digest}")


@contextmanager
def recorded(study: Study) -> Iterator["StudyRecord"]:
    """The study's record, closed with the status that the block deserves."""
    records, status = StudyRecord(study), "KILLED"
    try:
        yield records
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        records.close(status)


class StudyRecord:
    """The study in MLflow: a parent that compares arms, a child per run. The keys are the study's: resumed, it goes on."""

    def __init__(self, study: Study) -> None:
        digest = hashlib.blake2b(study.model_dump_json().encode(), digest_size=6).hexdigest()
        self.study, self.tracker, self._key = study, Tracker(), f"study-{study.name}-{digest}"
        self._tags = {"crl.study": study.name, "crl.profile": study.profile, **lineage.git_tags()}
        self._parent = self._open(self._key, f"study {study.name}")
        self._parent.params(study.model_dump(mode="json"))

    def run(self, run: StudyRun) -> None:
        """A run that has ended: its parameters, and success by environment steps."""
        tags = {"crl.study.arm": run.arm, "crl.study.seed": str(run.seed)}
        record = self._open(f"{self._key}-{run.arm}-{run.seed}", f"{run.arm} {run.seed}", tags, parent=self._key)
        record.params(self.study.config(run.arm, run.seed).model_dump(mode="json"))
        for point in run.points():
            at_ms = int(run.point(point["rounds"]).stat().st_mtime * 1000)
            record.metrics(rates(point), step=point["env_steps"], at_ms=at_ms)
        record.close("FINISHED")

    def comparison(self, made: Comparison) -> None:
        """Each arm's figures with their intervals, as metrics of the parent."""
        values = {
            f"study/{arm}/{metric}{part}": number
            for arm, found in made.arms.items()
            for metric in METRICS
            for part, number in (("", found[metric].value), ("_low", found[metric].low), ("_high", found[metric].high))
        }
        self._parent.metrics(values, step=sum(len(runs) for runs in made.runs.values()))  # how many runs it is of
        self._parent.tag({"crl.study.digest": made.digest})
        self._parent.file(RESULTS / f"{self.study.name}.parquet", "results")

    def close(self, status: Status) -> None:
        self._parent.close(status)
        self.tracker.close(STOPPED_CLOSE_S if status == "KILLED" else LONGEST_CLOSE_S)

    def _open(self, key: str, name: str, tags: dict[str, str] | None = None, parent: str | None = None) -> StageRecord:
        record = StageRecord(self.tracker, key)
        record.open(name, time.time_ns() // 10**6, self._tags | (tags or {}), parent)
        return record


def rates(point: dict) -> dict[str, float]:
    """Success of one evaluation by task, without and with experience."""
    return {
        f"study/{cell['task']}_success_{'with' if cell['experience'] else 'without'}": cell["successes"]
        / cell["episodes"]
        for cell in point["cells"]
    }


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m flows.study", description="Play a study's runs; go on where it was stopped."
    )
    parser.add_argument("name", choices=studies(), help="a study of conf/study")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--arms", nargs="*", default=(), help="only these")
    parser.add_argument("--seeds", nargs="*", type=int, default=(), help="only these")
    asked = parser.parse_args(arguments)
    with prefect_server.running():
        stops.run(study_flow(asked.name, asked.at_once, tuple(asked.arms), tuple(asked.seeds)))


if __name__ == "__main__":
    sys.exit(main())
