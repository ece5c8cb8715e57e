"""What the stages record in MLflow: one run per stage under one parent run.

Recording never fails and never waits: a record is on disk when the call returns, and a background thread
delivers it. What could not be delivered goes with the next stage, or with `python -m flows.tracking.recording drain`.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from crl.config import Config
from crl.errors import DataError
from flows.local.command import command
from flows.stage import lineage, stored
from flows.stage.lineage import PipelineRun
from flows.stage.paths import HOME, SPOOL
from flows.tracking import database
from flows.tracking.machine import watched
from flows.tracking.records import Record
from flows.tracking.sender import Sender
from flows.tracking.spool import Journal, journals, refused_file, take_up_refused
from flows.tracking.stage_record import StageRecord, Status, now_ms

LONGEST_CLOSE_S = 600.0  # only while the tracker answers: weights may be large
STOPPED_CLOSE_S = 3.0  # of a stage that is stopped: its records go with the next one
_POLL_S = 0.05
_SEND_AGAIN = (
    f"why, is in {SPOOL}/refused.jsonl. Remedy: mend it, then `python -m flows.tracking.recording drain --refused`"
)


class Tracker:
    """This process's journal and the thread that delivers it."""

    def __init__(self) -> None:
        self.journal = Journal.create(SPOOL)
        self._sender = Sender(SPOOL, tracking_uri(), self.journal)
        self._sender.start()

    def add(self, record: Record) -> None:
        self.journal.append(record)
        self._sender.wake()

    def keep(self, path: Path, name: str) -> str:
        """Keep a file or folder as it is now. Returns its place inside the journal's files."""
        return str(self.journal.keep(path, name).relative_to(self.journal.files))

    @property
    def failing(self) -> str | None:
        """Why MLflow takes no records now; None: it does."""
        return self._sender.failing

    def open_stage(self, pipeline: PipelineRun, stage: str, tags: Mapping[str, str] | None = None) -> StageRecord:
        """The stage's run under the pipeline's; a resumed stage goes on in the run it had."""
        ids = {"crl.pipeline": pipeline.id, "crl.profile": pipeline.profile, **lineage.git_tags()}
        if pipeline.flow_run:
            ids["prefect.pipeline_flow_run"] = pipeline.flow_run
        parent = f"pipeline-{pipeline.profile}-{pipeline.id}"
        StageRecord(self, pipeline.id).open(parent, pipeline.started_ms, ids)
        began_ms = pipeline.began_ms.get(stage, now_ms())
        record = StageRecord(self, pipeline.stage_key(stage))
        record.open(
            stage, began_ms, {**ids, "crl.stage": stage, **lineage.dvc_inputs(stage), **(tags or {})}, pipeline.id
        )
        return record

    def note_outs(self, pipeline: PipelineRun) -> None:
        """Tag the finished stages with DVC's hashes of what they put out, which DVC knows only afterwards."""
        for stage in pipeline.finished:
            if tags := lineage.dvc_outs([stage]):
                StageRecord(self, pipeline.stage_key(stage)).tag(tags)

    def delivered(self, wait_s: float, patience_s: float) -> bool:
        """Wait until MLflow has taken all records of this process; False when it fails for `patience_s`, or not in `wait_s`.

        A sender that has ended delivers nothing more: it is not waited for.
        """
        deadline, moved, left = time.monotonic() + wait_s, time.monotonic(), self.journal.unsent_bytes
        self._sender.wake()
        while left and self._sender.is_alive() and (now := time.monotonic()) < deadline:
            if self._sender.failing and now > moved + patience_s:
                break
            time.sleep(_POLL_S)
            if (still := self.journal.unsent_bytes) < left:
                moved = time.monotonic()
            left = still
        return not left

    def close(self, wait_s: float = LONGEST_CLOSE_S) -> int:
        """Deliver what the tracker takes now. Returns how many bytes wait in the spool; says so, and what was refused."""
        self._sender.finish(wait_s)
        left = self.journal.unsent_bytes
        if not self._sender.is_alive():
            self.journal.release()
        if left:
            why = f" ({self.failing})" if self.failing else ""
            said = f"MLflow did not take all records{why}; they wait in {SPOOL} and go with the next stage"
            print(said, file=sys.stderr)  # noqa: T201
        if self._sender.refused:
            print(f"MLflow refused {self._sender.refused} records: {_SEND_AGAIN}", file=sys.stderr)  # noqa: T201
        return left


@contextmanager
def recorded(config: Config, stage: str) -> Iterator[tuple[StageRecord, str | None]]:
    """The record of one stage, closed with the status that the block deserves, and the stage's lineage, if it has one."""
    file = lineage.file_of(config)
    before, known = lineage.load(file), lineage.of_stage(config, stage)
    stored.look()
    pipeline = lineage.join(config, stage, again=stage == stored.STAGE and stored.is_awaited(known))
    tracker = Tracker()
    if before:
        tracker.note_outs(before)
        if before.id != pipeline.id and lineage.STAGES[-1] not in before.finished:
            StageRecord(tracker, before.id).close("FINISHED")  # nobody goes on with it
    record = tracker.open_stage(pipeline, stage, {lineage.LINEAGE_TAG: known} if known else {})
    record.params(config.model_dump(mode="json"))
    status: Status = "KILLED"
    try:
        with watched(record, pipeline.began_ms[stage]):
            yield record, known
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        record.close(status)
        if status == "FINISHED":
            done = (lineage.load(file) or pipeline).after(stage)
            done.save(file)
            if stage == lineage.STAGES[-1]:
                StageRecord(tracker, done.id).close("FINISHED")
        tracker.close(STOPPED_CLOSE_S if status == "KILLED" else LONGEST_CLOSE_S)


def finish() -> None:
    """After DVC has ended: record its hashes of what the last stages put out, and note that it holds them."""
    stored.look()
    if pipeline := lineage.load():
        tracker = Tracker()
        tracker.note_outs(pipeline)
        tracker.close()


def tracking_uri() -> str:
    """Where records go: MLFLOW_TRACKING_URI, or a database in the checkout, as one whose path is relative."""
    scheme, _, file = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db").partition(":///")
    return f"sqlite:///{HOME / file}" if scheme == "sqlite" else os.environ["MLFLOW_TRACKING_URI"]


def tracking_page() -> str:
    """Where to look at the records: the server's address without credentials, or how to open the local database."""
    uri = tracking_uri()
    if uri.startswith("http"):
        address = urlsplit(uri)
        return f"{address.scheme}://{address.hostname}" + (f":{address.port}" if address.port else "") + address.path
    return f"http://127.0.0.1:5000 (`make mlflow`, {uri})" if uri.startswith("sqlite:///") else "the tracking database"


@command(f"what is not delivered waits in {SPOOL}")
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m flows.tracking.recording", description="What waits for MLflow.")
    parser.add_argument("command", nargs="?", choices=("status", "drain"), default="status", help="drain: deliver it")
    parser.add_argument(
        "--refused", action="store_true", help="with drain: also what was refused, after its reason is mended"
    )
    asked = parser.parse_args(arguments)
    if asked.command == "drain":
        if asked.refused:
            take_up_refused(SPOOL)
        if file := database.file_of(tracking_uri()):
            with suppress(DataError), database.being_opened(file):  # what is wrong with it, the sender tells
                pass
        sender = Sender(SPOOL, tracking_uri())
        sender.start()
        sender.finish(LONGEST_CLOSE_S)
        print(f"delivered {sender.delivered} records, refused {sender.refused}")  # noqa: T201
        for left in sender.left.values():
            print(left, file=sys.stderr)  # noqa: T201
        if sender.failing:
            print(f"MLflow takes no records now: {sender.failing}", file=sys.stderr)  # noqa: T201
    waiting = sum(journal.unsent_bytes for journal in journals(SPOOL))
    print(f"{waiting} bytes wait in {SPOOL}")  # noqa: T201
    if refused_file(SPOOL).exists():
        print(f"records were refused: {_SEND_AGAIN}", file=sys.stderr)  # noqa: T201
    return 1 if waiting else 0


if __name__ == "__main__":
    sys.exit(main())
