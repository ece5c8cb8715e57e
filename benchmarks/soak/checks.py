"""What must hold once a disturbed pipeline has ended well: the outs, the records, the bank, and nothing left behind."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Run as Recorded
from mlflow.store.entities import PagedList

from benchmarks.soak.world import command
from tests.end_to_end import locked_outs

PAGE = 500


@dataclass(frozen=True)
class Records:
    """What MLflow holds of one pipeline run, without figures: they may be of time."""

    metrics: Counter[tuple[str, str, int]]  # stage, name, step
    traces: Counter[tuple[str, str]]  # stage, name

    def missing(self, other: "Records") -> list[str]:
        """What the other holds and this does not."""
        gone = [*(other.metrics.keys() - self.metrics.keys()), *(other.traces.keys() - self.traces.keys())]
        return [" ".join(map(str, key)) for key in sorted(gone, key=str)]

    def repeated(self) -> list[str]:
        return [" ".join(map(str, key)) for key, times in (*self.metrics.items(), *self.traces.items()) if times > 1]


def outs(checkout: Path) -> dict[str, dict[str, str]]:
    """DVC's hash of every out by stage."""
    return locked_outs(checkout)


def records(uri: str, pipelines: set[str]) -> Records:
    """Of the pipeline runs with these ids, in all their stages' runs."""
    client = mlflow.MlflowClient(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    metrics: Counter[tuple[str, str, int]] = Counter()
    traces: Counter[tuple[str, str]] = Counter()
    stages: dict[str, str] = {}
    for run in _pages(client.search_runs, experiments):
        if run.data.tags.get("crl.pipeline") in pipelines and (stage := run.data.tags.get("crl.stage")):
            stages[run.info.run_id] = stage
            metrics.update(_metrics(client, run, stage))
    for trace in _pages(client.search_traces, experiments, include_spans=False):
        stage = stages.get(trace.info.trace_metadata.get("mlflow.sourceRun", ""))
        if stage:
            traces[stage, trace.info.tags["mlflow.traceName"]] += 1
    return Records(metrics, traces)


def pipelines(uri: str) -> set[str]:
    """Ids of all pipeline runs that MLflow knows."""
    client = mlflow.MlflowClient(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return {
        run.data.tags["crl.pipeline"]
        for run in _pages(client.search_runs, experiments)
        if "crl.pipeline" in run.data.tags
    }


def nothing_waits(checkout: Path, variables: dict[str, str]) -> list[str]:
    """What does not hold of the spool and the bank."""
    faults = []
    waits = command(checkout, variables, ["flows.tracking.recording"])
    if waits.returncode or "refused" in waits.stderr:
        faults.append(f"records were not delivered: {waits.stdout}{waits.stderr}")
    for folder in (checkout / "runs/co_evolve").glob("*/bank"):
        done = command(checkout, variables, ["crl.cli.main", "bank", "verify", "--run", str(folder.parent)])
        if done.returncode:
            faults.append(f"the bank: {done.stdout}{done.stderr}")
    return faults


def left_behind(folder: Path) -> list[str]:
    """Temporary files that outlived their processes."""
    return sorted(str(path.relative_to(folder)) for path in folder.iterdir())


def _metrics(client: mlflow.MlflowClient, run: Recorded, stage: str) -> Counter[tuple[str, str, int]]:
    """What a comparison with the champion found depends on who that is: pipelines on one server put out the same agent, and the
    second of them is the champion already. That it was decided about must be told."""
    found: Counter[tuple[str, str, int]] = Counter()
    for name in run.data.metrics:
        if name.startswith("champion/") and name != "champion/promoted":
            continue
        found.update((stage, name, metric.step) for metric in client.get_metric_history(run.info.run_id, name))
    return found


def _pages(search: Callable[..., PagedList], experiments: list[str], **options: Any) -> Iterator[Any]:
    token = None
    while True:
        page = search(experiments, max_results=PAGE, page_token=token, **options)
        yield from page
        if not (token := page.token):
            return
