"""Versions of registered models: made once, found again by their record; which one an alias is at; which of them stay.

Importing this imports MLflow.
"""

import json
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # before MLflow is imported

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from flows.stage.lineage import LINEAGE_TAG
from flows.tracking import logged_models
from flows.tracking.logged_models import RECORD_TAG

DECISION_TAG = "crl.decision"  # on every version that was evaluated


def pyfunc_folder(folder: Path, serving: Mapping[str, Any]) -> Path:
    """The folder of an MLflow model around the files in `folder`, made beside it. Files that are not there are left out.

    `serving`: signature (`inputs`, `outputs`, `params`), `example`, `artifacts` (name -> path in `folder`), `code`,
    `pip_requirements`.
    """
    target = folder.with_name(f"{folder.name}.served")
    shutil.rmtree(target, ignore_errors=True)
    # MLflow 3.17 compares an example's columns with a range, of which pandas 3 tells at every agent. Said at each call: once, at
    # import, did not hold in a run.
    warnings.filterwarnings("ignore", "Operation with range is deprecated")
    mlflow.pyfunc.save_model(
        str(target),
        python_model=serving["code"],
        artifacts={name: str(folder / path) for name, path in serving["artifacts"].items() if (folder / path).exists()},
        signature=ModelSignature.from_dict(
            {name: json.dumps(serving[name]) for name in ("inputs", "outputs", "params")}
        ),
        input_example=pd.DataFrame(serving["example"]),
        pip_requirements=serving["pip_requirements"],
    )
    return target


def of_record(client: MlflowClient, model: str, record_id: str) -> ModelVersion | None:
    """The version that a record made."""
    where = f"name = '{model}' and tag.`{RECORD_TAG}` = '{record_id}'"
    return next(iter(client.search_model_versions(where)), None)


def registered(client: MlflowClient, model: str) -> RegisteredModel | None:
    """The model with its tags and aliases."""
    return next(iter(client.search_registered_models(f"name = '{model}'")), None)


def aliases(client: MlflowClient, model: str) -> dict[str, int]:
    """Alias -> version; empty when the model is not registered."""
    found = registered(client, model)
    return {alias: int(version) for alias, version in found.aliases.items()} if found else {}


def move_forward(client: MlflowClient, model: str, alias: str, version: int) -> None:
    """Move an alias to a version, never back: a record that is delivered late must not undo a later one."""
    if aliases(client, model).get(alias, 0) < version:
        client.set_registered_model_alias(model, alias, str(version))


def prune(client: MlflowClient, model: str, lineage: str, keep: int) -> None:
    """Remove the lineage's older candidates, and their files, which lie nowhere else. The newest `keep` stay."""
    found = client.search_model_versions(f"name = '{model}' and tag.`{LINEAGE_TAG}` = '{lineage}'")
    held = set(aliases(client, model).values())
    newest_first = sorted(found, key=lambda version: -int(version.version))
    for version in newest_first[keep:]:
        if int(version.version) not in held and DECISION_TAG not in version.tags:
            _remove(client, version)


def _remove(client: MlflowClient, version: ModelVersion) -> None:
    """The version first: what is listed can always be loaded."""
    client.delete_model_version(version.name, version.version)
    _, _, place = version.source.removeprefix("runs:/").partition("/")
    run = client.get_run(version.run_id)
    logged_models.forget_version(client, run.info.experiment_id, version)
    try:
        get_artifact_repository(run.info.artifact_uri).delete_artifacts(place)
    except (MlflowException, NotImplementedError, OSError):  # a store that keeps its files: they are only space
        return
