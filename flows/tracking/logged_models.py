"""MLflow's logged models: one per agent, which leads to its metrics, traces and dataset. Its files are those of its version.

Importing this imports MLflow.
"""

import json

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_IS_EXTERNAL, MLFLOW_MODEL_VERSIONS

RECORD_TAG = "crl.record"  # on versions, too


def of_record(client: MlflowClient, experiment: str, record_id: str) -> LoggedModel | None:
    """The logged model that a record made."""
    found = client.search_logged_models([experiment], f"tags.`{RECORD_TAG}` = '{record_id}'", max_results=1)
    return next(iter(found), None)


def log_model(client: MlflowClient, experiment: str, run: str, version: ModelVersion, name: str, step: int) -> str:
    """The id of the logged model of a version with `RECORD_TAG`, made or completed; the run that made it has it as an output."""
    known = of_record(client, experiment, version.tags[RECORD_TAG])
    shown = json.dumps([{"name": version.name, "version": int(version.version)}])
    tags = {**version.tags, MLFLOW_MODEL_VERSIONS: shown, MLFLOW_MODEL_IS_EXTERNAL: "true"}
    if known:
        client.set_logged_model_tags(known.model_id, tags)
    model = known or client.create_logged_model(experiment, name, run, tags, model_type="agent")
    # A second output would be a second row. One may be lacking: the sender was killed here.
    if known is None or (known.source_run_id == run and known.model_id not in _outputs(client, run)):
        client.log_outputs(run, [LoggedModelOutput(model.model_id, step)])
    if model.status != LoggedModelStatus.READY:
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    return model.model_id


def forget_version(client: MlflowClient, experiment: str, version: ModelVersion) -> None:
    """The logged model stays, with its metrics; it no longer leads to a version that was removed."""
    known = of_record(client, experiment, version.tags.get(RECORD_TAG, ""))
    if known and MLFLOW_MODEL_VERSIONS in known.tags:
        client.delete_logged_model_tag(known.model_id, MLFLOW_MODEL_VERSIONS)


def _outputs(client: MlflowClient, run: str) -> set[str]:
    outputs = client.get_run(run).outputs
    return {output.model_id for output in outputs.model_outputs} if outputs else set()
