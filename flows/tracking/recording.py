"""What the stages record in MLflow: one run per stage under one parent run.

Recording never fails and never waits: a record is on disk when the call returns, and a background thread
delivers it. What could not be delivered goes with the next stage, or with `python -m flows.tracking.recording drain`.
"""

import hashlib
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from crl.config import Config
from crl.episode.transcripts import Trace
from crl.types import stable_id
from flows.stage import lineage
from flows.stage.lineage import PipelineRun
from flows.tracking import records
from flows.tracking.sender import Sender
from flows.tracking.spool import Journal, journals

SPOOL = Path("runs/spool")
LONGEST_CLOSE_S = 600.0  # only while the tracker answers: weights may be large
_POLL_S = 0.05


class StageRecord:
    """The record of one stage's run."""

    def __init__(self, tracker: "Tracker", key: str) -> None:
        self._tracker, self.key = tracker, key

    def params(self, values: Mapping[str, Any]) -> None:
        flat = {name: str(value) for name, value in flatten(values)}
        self._add(records.Described(self._id("params"), self.key, params=flat))

    def tag(self, tags: Mapping[str, str]) -> None:
        self._add(records.Described(self._id("tags", *sorted(tags.items())), self.key, tags=dict(tags)))

    def metrics(self, values: Mapping[str, float], *, step: int = 0, at_ms: int | None = None) -> None:
        """One batch. Absent values (NaN) are left out. Give `at_ms` where a repeat must be the same metric."""
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        self._add(records.Measured(self._id("metrics", step), self.key, step, at_ms or _now_ms(), finite))

    def dataset(self, name: str, path: Path, *, context: Literal["training", "evaluation"], rows: int) -> None:
        self._add(records.DatasetUsed(self._id("data", name), self.key, name, _digest(path), str(path), context, rows))

    def files(self, path: Path, folder: str = "") -> None:
        """Keep a file or folder as it is now among the run's artifacts."""
        kept = self._tracker.journal.keep(path, self._id("files", path)[:13])
        self._add(records.FilesKept(self._id("files", path), self.key, str(kept), folder))

    def model(
        self, name: str, path: Path, *, alias: str, tags: Mapping[str, str], id_: str | None = None, place: str = "",
        serving: Mapping[str, Any] | None = None, keep: int = 0,
    ) -> None:  # fmt: skip
        """Register a model folder as a version of `name`: a new one, or the one that `id_` was registered as before."""
        id_ = id_ or self._id("model", name)
        kept = self._tracker.journal.keep(path, f"{id_[:13]}-{time.time_ns():x}")  # an earlier copy may still wait
        self._add(records.ModelRegistered(id_, self.key, str(kept), name, alias, dict(tags), place, serving, keep))

    def trace(self, trace: Trace) -> None:
        spans = tuple(records.SpanMade(s.name, int(s.start_s * 1e9), int(s.end_s * 1e9)) for s in trace.spans)
        tags = {f"crl.{name}": value for name, value in trace.tags.items()}
        id_ = self._id("trace", trace.name)
        self._add(records.EpisodeTraced(id_, self.key, trace.name, spans, trace.inputs, trace.outputs, tags))

    def close(self, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
        self._add(records.RunClosed(self._id("close", status), self.key, status, _now_ms()))

    def delivered(self, wait_s: float, patience_s: float) -> bool:
        """Wait until the tracker has taken all records of this process; False when it fails for so long, or not in time."""
        return self._tracker.delivered(wait_s, patience_s)

    def _id(self, *parts: object) -> str:
        return stable_id(self.key, *parts)

    def _add(self, record: records.Record) -> None:
        self._tracker.add(record)


class Tracker:
    """This process's journal and the thread that delivers it."""

    def __init__(self, folder: Path = SPOOL, uri: str | None = None) -> None:
        self.folder = folder
        self.journal = Journal.create(folder)
        self._sender = Sender(folder, uri or tracking_uri(), self.journal)
        self._sender.start()

    def add(self, record: records.Record) -> None:
        self.journal.append(record)
        self._sender.wake()

    def open_stage(self, pipeline: PipelineRun, stage: str, tags: Mapping[str, str] | None = None) -> StageRecord:
        """The stage's run under the pipeline's; a resumed stage goes on in the run it had."""
        ids = {"crl.pipeline": pipeline.id, "crl.profile": pipeline.profile, **lineage.git_tags()}
        if pipeline.flow_run:
            ids["prefect.pipeline_flow_run"] = pipeline.flow_run
        parent = f"pipeline-{pipeline.profile}-{pipeline.id}"
        self.add(records.RunOpened(stable_id(pipeline.id), pipeline.id, parent, pipeline.started_ms, None, ids))
        key = pipeline.stage_key(stage)
        ids = {**ids, "crl.stage": stage, **lineage.dvc_inputs(stage), **(tags or {})}
        self.add(records.RunOpened(stable_id(key), key, stage, _now_ms(), pipeline.id, ids))
        return StageRecord(self, key)

    def note_outs(self, pipeline: PipelineRun) -> None:
        """Tag the finished stages with DVC's hashes of what they put out, which DVC knows only afterwards."""
        for stage in pipeline.finished:
            if tags := lineage.dvc_tags(stage, "outs"):
                StageRecord(self, pipeline.stage_key(stage)).tag(tags)

    def close_pipeline(self, pipeline: PipelineRun, status: Literal["FINISHED", "FAILED"]) -> None:
        StageRecord(self, pipeline.id).close(status)

    def delivered(self, wait_s: float, patience_s: float) -> bool:
        """Whether all is delivered, at the latest after `wait_s`, or when nothing got through a failing tracker in `patience_s`."""
        deadline, moved, left = time.monotonic() + wait_s, time.monotonic(), self.journal.unsent_bytes
        self._sender.wake()
        while left and (now := time.monotonic()) < deadline and not (self._sender.failing and now > moved + patience_s):
            time.sleep(_POLL_S)
            if (still := self.journal.unsent_bytes) < left:
                moved = time.monotonic()
            left = still
        return not left

    def close(self, wait_s: float = LONGEST_CLOSE_S) -> int:
        """Deliver what the tracker takes now. Returns how many bytes wait in the spool."""
        self._sender.finish(wait_s)
        left = self.journal.unsent_bytes
        if not self._sender.is_alive():
            self.journal.release()
        return left


@contextmanager
def recorded(config: Config, stage: str, folder: Path = SPOOL) -> Iterator[tuple[StageRecord, PipelineRun]]:
    """The record of one stage, closed with the status that the block deserves."""
    before, pipeline = lineage.load(), lineage.join(config, stage)
    tracker = Tracker(folder)
    if before:
        tracker.note_outs(before)
        if before.id != pipeline.id and lineage.STAGES[-1] not in before.finished:
            tracker.close_pipeline(before, "FINISHED")  # nobody goes on with it
    known = lineage.of_stage(config, stage)
    record = tracker.open_stage(pipeline, stage, {lineage.LINEAGE_TAG: known} if known else {})
    record.params(config.model_dump(mode="json"))
    status: Literal["FINISHED", "FAILED", "KILLED"] = "KILLED"
    try:
        yield record, pipeline
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        record.close(status)
        if status == "FINISHED":
            done = lineage.load() or pipeline
            done = replace(done, finished=(*done.finished, stage))
            done.save()
            if stage == lineage.STAGES[-1]:
                tracker.close_pipeline(done, "FINISHED")
        if tracker.close():
            print(f"MLflow did not take all records; they wait in {folder} and go with the next stage", file=sys.stderr)  # noqa: T201


def finish(folder: Path = SPOOL) -> None:
    """After DVC has ended: record its hashes of what the last stages put out."""
    if pipeline := lineage.load():
        tracker = Tracker(folder)
        tracker.note_outs(pipeline)
        tracker.close()


def tracking_uri() -> str:
    """Where records go: MLFLOW_TRACKING_URI, or a database in this folder."""
    return os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")


def tracking_page() -> str:
    """Where to look at the records: the server's address without credentials, or how to open the local database."""
    uri = tracking_uri()
    if uri.startswith("http"):
        address = urlsplit(uri)
        return f"{address.scheme}://{address.hostname}" + (f":{address.port}" if address.port else "") + address.path
    return f"http://127.0.0.1:5000 (`make mlflow`, {uri})" if uri.startswith("sqlite:///") else "the tracking database"


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """(dotted name, value) of the leaves of nested mappings."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _now_ms() -> int:
    return time.time_ns() // 10**6


def _main(command: str) -> int:
    """`drain` delivers what waits; `status` tells what waits."""
    waiting = sum(journal.unsent_bytes for journal in journals(SPOOL))
    if command == "drain":
        sender = Sender(SPOOL, tracking_uri())
        sender.start()
        sender.finish(LONGEST_CLOSE_S)
        waiting = sum(journal.unsent_bytes for journal in journals(SPOOL))
        print(f"delivered {sender.delivered} records, refused {sender.refused}")  # noqa: T201
        if sender.failing:
            print(f"the tracker does not answer: {sender.failing}", file=sys.stderr)  # noqa: T201
    print(f"{waiting} bytes wait in {SPOOL}")  # noqa: T201
    return 1 if waiting else 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1] if len(sys.argv) > 1 else "status"))
