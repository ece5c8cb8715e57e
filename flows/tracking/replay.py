"""Makes the recorded calls on a tracker. Importing this imports MLflow (2 s), so only the sender's thread does.

Delivery is at least once. What makes a repeat harmless: runs and model versions are found by a tag before
they are made; a trace's id derives from its record's; parameters, tags, datasets and artifacts are
overwritten by themselves; a metric with the same name, step, time and value is one row in MLflow's SQL stores.
"""

import errno
import json
import logging
import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import get_args

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, LifecycleStage, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracing.client import TracingClient
from mlflow.tracing.constant import TraceTagKey
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
from pydantic import FiniteFloat, JsonValue, ValidationError, validate_call
from sqlalchemy.exc import SQLAlchemyError

from flows.stage.lineage import LINEAGE_TAG
from flows.tracking import database, logged_models, model_versions
from flows.tracking.logged_models import RECORD_TAG
from flows.tracking.prompt_versions import Prompt, prompt_version
from flows.tracking.records import Damaged, Method, Record
from flows.tracking.traces import episode_trace

RUN_TAG = "crl.run"
# MLflow 3.17 takes a repeat of so many metrics of a model: of more it looks for those it has in parts, and adds all with each.
METRICS_AT_ONCE = 100
log = logging.getLogger(__name__)
# What the tracker's client raises; errors of the connection are OSErrors.
FAULTS = (MlflowException, OSError, NotImplementedError, Damaged, SQLAlchemyError)
_NEVER = {
    "INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE",
    "RESOURCE_DOES_NOT_EXIST",
}  # fmt: skip
# SQLAlchemy's text when the database is torn, locked or away, which MLflow hands on as BAD_REQUEST.
_OF_THE_DATABASE = re.compile(r"\((\w+\.)+(DatabaseError|OperationalError|InternalError|InterfaceError)\)")
# A path that cannot be written, while the disk, the network and the machine are well.
_OF_A_PATH = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP,
    errno.ENAMETOOLONG,
}  # fmt: skip


def is_refusal(error: Exception) -> bool:
    """Whether a record will never be taken as things are, so that a retry is pointless; else the tracker, its database or the
    disk is at fault. An error that nobody has thought of is the record's."""
    if _OF_THE_DATABASE.search(str(error)):
        return False
    if isinstance(error, MlflowException):
        return error.error_code in _NEVER
    if isinstance(error, OSError):
        return error.errno in _OF_A_PATH and error.filename is not None
    return True


class Replay:
    """MLflow's client as records call it: the methods are the client's, the arguments are as JSON has them. `run_id` is our key of
    a run, `model_id` that of a logged model. What a method takes is checked when a record is delivered. Every call may be
    repeated."""

    def __init__(self, uri: str) -> None:
        for noisy, level in (("alembic", logging.WARNING), ("mlflow", logging.WARNING), ("urllib3", logging.ERROR)):
            logging.getLogger(noisy).setLevel(level)
        mlflow.set_tracking_uri(uri)
        self._database = database.file_of(uri)
        self.client = database.client_of(uri)
        self._runs: dict[str, str] = {}
        self._models: dict[str, str] = {}
        self._calls = {method: validate_call(getattr(self, method)) for method in get_args(Method)}
        self._traces = TracingClient(uri)

    def deliver(self, record: Record) -> None:
        """Raises what the tracker raises when it did not take it, Damaged for arguments that the method does not take."""
        call = self._calls[record.method]
        try:
            call(**record.kwargs)
        except ValidationError as error:
            raise Damaged.of(error) from None
        except MlflowException as error:
            if not is_refusal(error):
                raise
            # Perhaps its run or experiment was deleted since it was looked up: looking again restores it.
            self._runs.clear()
            self._models.clear()
            self.__dict__.pop("experiment", None)
            call(**record.kwargs)

    def create_run(
        self, run_id: str, run_name: str, start_time: int, tags: dict[str, str], parent: str | None = None
    ) -> None:
        tags = {**tags, RUN_TAG: run_id, MLFLOW_RUN_NAME: run_name}
        if parent:
            tags[MLFLOW_PARENT_RUN_ID] = self._run(parent)
        found = self._find_run(run_id)
        if found is None:
            found = self.client.create_run(self.experiment, start_time, tags, run_name).info.run_id
        else:  # a resumed stage goes on in its own run
            self.client.update_run(found, status="RUNNING")
            self.client.log_batch(found, tags=[RunTag(*tag) for tag in tags.items()])
        self._runs[run_id] = found

    def set_terminated(self, run_id: str, status: str, end_time: int) -> None:
        self.client.set_terminated(self._run(run_id), status, end_time)

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[tuple[str, FiniteFloat, int, int]] = (),  # name, value, timestamp in ms, step
        params: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
        model_id: str | None = None,
        dataset: tuple[str, str] | None = None,  # name, digest
    ) -> None:
        of_model, run = self._logged_model(model_id), self._run(run_id)
        made = [Metric(*metric, of_model, *(dataset or (None, None))) for metric in metrics]
        for first in range(0, len(made), METRICS_AT_ONCE):
            self.client.log_batch(run, made[first : first + METRICS_AT_ONCE])
        if params or tags:
            self.client.log_batch(
                run,
                [],
                [Param(*param) for param in (params or {}).items()],
                [RunTag(*tag) for tag in (tags or {}).items()],
            )

    def log_inputs(
        self, run_id: str, dataset: tuple[str, str, str, str, None, str], tags: dict[str, str]
    ) -> None:  # name, digest, source type, source, schema, profile
        used = DatasetInput(Dataset(*dataset), [InputTag(*tag) for tag in tags.items()])
        self.client.log_inputs(self._run(run_id), [used])

    def log_artifact(self, run_id: str, local_path: str, artifact_path: str) -> None:
        if Path(local_path).exists():  # else delivered before the sender was killed, and dropped from the spool
            self.client.log_artifact(self._run(run_id), local_path, artifact_path)

    def create_model_version(
        self, run_id: str, name: str, local_dir: str, artifact_path: str, record_id: str, tags: dict[str, str], alias: str,
        serving: dict[str, JsonValue] | None, keep: int, step: int | None = None,
    ) -> None:  # fmt: skip
        """Files first, so that a version is never without; a version that is known is completed where it lies."""
        if not self.client.search_registered_models(f"name = '{name}'"):
            self.client.create_registered_model(name)
        known = model_versions.of_record(self.client, name, record_id)
        run = known.run_id if known else self._run(run_id)
        if (folder := Path(local_dir)).exists():  # else delivered before the sender was killed
            folder = model_versions.pyfunc_folder(folder, serving) if serving else folder
            self.client.log_artifacts(run, str(folder), artifact_path)
        if known:
            for tag, value in tags.items():
                self.client.set_model_version_tag(name, known.version, tag, value)
        else:
            tags = {**tags, RECORD_TAG: record_id}
            known = self.client.create_model_version(name, f"runs:/{run}/{artifact_path}", run, tags)
        model_versions.move_forward(self.client, name, alias, int(known.version))
        if step is not None:
            logged = f"{name}-{Path(artifact_path).name}"
            self._models[record_id] = logged_models.log_model(self.client, self.experiment, run, known, logged, step)
        if keep:
            model_versions.prune(self.client, name, tags.get(LINEAGE_TAG, ""), keep)

    def start_trace(
        self, run_id: str, trace_id: str, name: str, spans: list[tuple[str, int, int]], inputs: dict[str, str],
        outputs: dict[str, str], tags: dict[str, str], model_id: str | None = None,
    ) -> None:  # fmt: skip
        info, made = episode_trace(
            trace_id, name, spans, inputs, outputs, experiment=self.experiment, run_id=self._run(run_id), tags=tags,
            model_id=self._logged_model(model_id),
        )  # fmt: skip
        self._traces.log_spans(self.experiment, made)
        self._traces.start_trace(info)

    def create_prompt_versions(self, run_id: str, prompts: dict[str, Prompt]) -> None:  # by purpose
        """A version for each content that has none. The run names them: where MLflow's page of a run looks, and for people."""
        used = {
            purpose: {"name": prompt.name, "version": prompt_version(self.client, prompt, self.experiment)}
            for purpose, prompt in prompts.items()
        }
        tags = {f"crl.prompt.{purpose}": f"{made['name']}/{made['version']}" for purpose, made in used.items()}
        self.log_batch(run_id, tags={**tags, TraceTagKey.LINKED_PROMPTS: json.dumps(list(used.values()))})

    @cached_property
    def experiment(self) -> str:
        """The id of the experiment, made where it is missing, restored where it was deleted: records that arrive belong to it."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "crl")
        found = self.client.get_experiment_by_name(name)
        if found is None:
            place = database.artifacts_of(self._database, name) if self._database else None
            return self.client.create_experiment(name, place)
        if found.lifecycle_stage == LifecycleStage.DELETED:
            self.client.restore_experiment(found.experiment_id)
            log.warning(
                "the experiment %r was deleted in MLflow: restored with its runs, since records for it arrive. Remedy: to record "
                "elsewhere, set MLFLOW_EXPERIMENT_NAME",
                name,
            )
        return found.experiment_id

    def _find_run(self, key: str) -> str | None:
        """A run that was deleted in MLflow is restored: more of it arrives."""
        found = self.client.search_runs([self.experiment], f"tags.`{RUN_TAG}` = '{key}'", ViewType.ALL)
        active_first = sorted(
            (run.info for run in found), key=lambda info: info.lifecycle_stage == LifecycleStage.DELETED
        )
        if not active_first:
            return None
        if active_first[0].lifecycle_stage == LifecycleStage.DELETED:
            self.client.restore_run(active_first[0].run_id)
            log.warning(
                "the run %s was deleted in MLflow: restored, since records for it arrive", active_first[0].run_name
            )
        return active_first[0].run_id

    def _run(self, key: str) -> str:
        """The tracker's id of a run. Its opening record may wait in another journal: that finds this run and completes it."""
        if key not in self._runs:
            found = self._find_run(key)
            self._runs[key] = found or self.client.create_run(self.experiment, tags={RUN_TAG: key}).info.run_id
        return self._runs[key]

    def _logged_model(self, key: str | None) -> str | None:
        """The tracker's id of a logged model; None where there is none: what belongs to it is recorded all the same."""
        if key is not None and key not in self._models:
            found = logged_models.of_record(self.client, self.experiment, key)
            if found is None:
                return None
            self._models[key] = found.model_id
        return self._models[key] if key else None
