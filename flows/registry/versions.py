"""Versions of a registered model: which one an alias is at, and which of them stay."""

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from flows.registry.agents import LINEAGE_TAG
from flows.tracking.records import ModelRegistered

RECORD_TAG = "crl.record"
DECISION_TAG = "crl.decision"  # on every version that was evaluated
ROLLED_BACK = "rolled back"  # its value after a rollback


def aliases(client: MlflowClient, model: str) -> dict[str, int]:
    """Alias -> version; empty when the model is not registered."""
    found = client.search_registered_models(f"name = '{model}'")
    if not found:
        return {}
    return {alias: int(version) for alias, version in client.get_registered_model(model).aliases.items()}


def move_forward(client: MlflowClient, model: str, alias: str, version: int) -> None:
    """Move an alias to a version, never back: a record that is delivered late must not undo a later one."""
    if aliases(client, model).get(alias, 0) < version:
        client.set_registered_model_alias(model, alias, str(version))


def prune(client: MlflowClient, record: ModelRegistered) -> None:
    """Remove the lineage's older candidates, and their files, which lie nowhere else."""
    lineage = record.tags.get(LINEAGE_TAG, "")
    found = client.search_model_versions(f"name = '{record.name}' and tag.`{LINEAGE_TAG}` = '{lineage}'")
    held = set(aliases(client, record.name).values())
    newest_first = sorted(found, key=lambda version: -int(version.version))
    for version in newest_first[record.keep :]:
        if int(version.version) not in held and DECISION_TAG not in version.tags:
            _remove(client, version)


def _remove(client: MlflowClient, version: ModelVersion) -> None:
    """The version first: what is listed can always be loaded."""
    client.delete_model_version(version.name, version.version)
    _, _, place = version.source.removeprefix("runs:/").partition("/")
    run = client.get_run(version.run_id)
    try:
        get_artifact_repository(run.info.artifact_uri).delete_artifacts(place)
    except (MlflowException, NotImplementedError, OSError):  # a store that keeps its files: they are only space
        return
