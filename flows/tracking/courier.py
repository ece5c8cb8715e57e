"""Takes one record to MLflow. Importing this imports MLflow (2 s), so only the sender's thread does.

Delivery is at least once. What makes a repeat harmless: runs and model versions are found by a tag before
they are made; a trace's id derives from its record's; parameters, tags, datasets and artifacts are
overwritten by themselves; a metric with the same name, step, time and value is one row in MLflow's SQL stores.
"""

import logging
import os
from functools import singledispatchmethod
from pathlib import Path

import mlflow
import requests
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracing.client import TracingClient
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from flows.stage.lineage import LINEAGE_TAG
from flows.tracking import records
from flows.tracking.model_versions import RECORD_TAG, move_forward, prune, pyfunc_folder
from flows.tracking.traces import trace_of

RUN_TAG = "crl.run"
FAULTS = (MlflowException, requests.RequestException, OSError, NotImplementedError)
_NEVER = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE"}
_LONGEST_PARAM = 6000  # characters, MLflow's limit


def experiment_name() -> str:
    return os.environ.get("MLFLOW_EXPERIMENT_NAME", "crl")


def is_refusal(error: Exception) -> bool:
    """Whether the tracker understood the record and will never take it, so that a retry is pointless."""
    if isinstance(error, NotImplementedError):  # MLflow's file store takes no spans
        return True
    return isinstance(error, MlflowException) and error.error_code in _NEVER


class Courier:
    """One connection to a tracker."""

    def __init__(self, uri: str) -> None:
        for noisy, level in (("alembic", logging.WARNING), ("mlflow", logging.WARNING), ("urllib3", logging.ERROR)):
            logging.getLogger(noisy).setLevel(level)
        mlflow.set_tracking_uri(uri)
        self.client = mlflow.MlflowClient(uri)
        self._experiment: str | None = None
        self._runs: dict[str, str] = {}
        self._traces = TracingClient(uri)

    @singledispatchmethod
    def deliver(self, record: records.Record) -> None:
        """Raises one of FAULTS when the tracker did not take it."""
        raise TypeError(f"record = {record!r}: of no known kind")

    @deliver.register
    def _(self, record: records.RunOpened) -> None:
        tags = {**record.tags, RUN_TAG: record.run, MLFLOW_RUN_NAME: record.name}
        if record.parent:
            tags[MLFLOW_PARENT_RUN_ID] = self._run_id(record.parent)
        found = self._find_run(record.run)
        if found is None:
            found = self.client.create_run(self.experiment, record.at_ms, tags, record.name).info.run_id
        else:  # a resumed stage goes on in its own run
            self.client.update_run(found, status="RUNNING")
            self.client.log_batch(found, tags=_tags(tags))
        self._runs[record.run] = found

    @deliver.register
    def _(self, record: records.RunClosed) -> None:
        self.client.set_terminated(self._run_id(record.run), record.status, record.at_ms)

    @deliver.register
    def _(self, record: records.Described) -> None:
        params = [Param(name, value[:_LONGEST_PARAM]) for name, value in record.params.items()]
        for start in range(0, max(len(params), 1), 100):  # MLflow's limit per batch
            self.client.log_batch(self._run_id(record.run), params=params[start : start + 100], tags=_tags(record.tags))

    @deliver.register
    def _(self, record: records.Measured) -> None:
        metrics = [Metric(name, value, record.at_ms, record.step) for name, value in record.values.items()]
        self.client.log_batch(self._run_id(record.run), metrics=metrics)

    @deliver.register
    def _(self, record: records.DatasetUsed) -> None:
        dataset = Dataset(
            name=record.name,
            digest=record.digest[:36],
            source_type="local",
            source=f'{{"uri": "{record.source}"}}',
            profile=f'{{"num_rows": {record.rows}}}',
        )
        tag = InputTag(MLFLOW_DATASET_CONTEXT, record.context)
        self.client.log_inputs(self._run_id(record.run), [DatasetInput(dataset, [tag])])

    @deliver.register
    def _(self, record: records.FilesKept) -> None:
        self._upload(record.run, Path(record.path), record.folder)

    @deliver.register
    def _(self, record: records.ModelRegistered) -> None:
        """Files first, so that a version is never without; a version that is known is completed where it lies."""
        if not self.client.search_registered_models(f"name = '{record.name}'"):
            self.client.create_registered_model(record.name)
        versions = self.client.search_model_versions(f"name = '{record.name}' and tag.`{RECORD_TAG}` = '{record.id}'")
        place = record.place or record.name
        run_id = versions[0].run_id if versions else self._run_id(record.run)
        if (path := Path(record.path)).exists():  # else delivered before the sender was killed
            self.client.log_artifacts(
                run_id, str(pyfunc_folder(path, record.serving) if record.serving else path), place
            )
        if versions:
            version = versions[0]
            for tag, value in record.tags.items():
                self.client.set_model_version_tag(record.name, version.version, tag, value)
        else:
            tags = {**record.tags, RECORD_TAG: record.id}
            version = self.client.create_model_version(record.name, f"runs:/{run_id}/{place}", run_id, tags)
        move_forward(self.client, record.name, record.alias, int(version.version))
        if record.keep:
            prune(self.client, record.name, record.tags.get(LINEAGE_TAG, ""), record.keep)

    @deliver.register
    def _(self, record: records.EpisodeTraced) -> None:
        info, spans = trace_of(record, self.experiment, self._run_id(record.run))
        self._traces.log_spans(self.experiment, spans)
        self._traces.start_trace(info)

    # ------------------------------------------------------------------ how

    @property
    def experiment(self) -> str:
        if self._experiment is None:
            name = experiment_name()
            found = self.client.get_experiment_by_name(name)
            self._experiment = found.experiment_id if found else self.client.create_experiment(name)
        return self._experiment

    def _find_run(self, key: str) -> str | None:
        found = self.client.search_runs([self.experiment], f"tags.`{RUN_TAG}` = '{key}'", max_results=1)
        return found[0].info.run_id if found else None

    def _run_id(self, key: str) -> str:
        if key not in self._runs:
            # Its opening record may wait in another process's journal, which finds this run and completes it.
            self._runs[key] = (
                self._find_run(key) or self.client.create_run(self.experiment, tags={RUN_TAG: key}).info.run_id
            )
        return self._runs[key]

    def _upload(self, run: str, path: Path, folder: str) -> None:
        if not path.exists():  # delivered before the sender was killed, and dropped from the spool
            return
        if path.is_dir():
            self.client.log_artifacts(self._run_id(run), str(path), f"{folder}/{path.name}".strip("/"))
        else:
            self.client.log_artifact(self._run_id(run), str(path), folder or None)


def _tags(tags: dict[str, str]) -> list[RunTag]:
    return [RunTag(name, value) for name, value in tags.items()]
