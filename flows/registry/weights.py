"""Weights of the registry as the source of another run: they are put on the shelf, beside models that were fetched.

    python -m flows.registry.weights models:/crl-agent@champion        or models:/NAME/VERSION, of any registered model
    ... models.actor.source=crl-agent-4-actor-1f0c9a3b                 as it says

An alias moves, and a registry may be away or another one: a run that named it would not say what it started from. So parameters
name the content: version, folder, digest.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from crl.errors import DataError
from crl.files import digest_folder, file_name, write_atomically, write_json
from crl.models.shelf import RECORD, shelf
from flows.local.command import command
from flows.tracking.database import client_of
from flows.tracking.recording import tracking_page, tracking_uri
from flows.tracking.replay import is_refusal
from flows.tracking.sender import shown

_URI = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>\d+))")


def fetch(uri: str) -> list[str]:
    """Put each model of a version on the shelf; their names there. One that is there is left as it is.

    Raises DataError for what is no such version, holds no weights, or is not what was registered.
    """
    mlflow.set_tracking_uri(tracking_uri())
    shelf().mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".registry-", dir=shelf()) as scratch:
        try:
            version = _version(uri, client_of(tracking_uri()))
            place = f"models:/{version.name}/{version.version}"
            root = Path(mlflow.artifacts.download_artifacts(place, dst_path=scratch))
        except (MlflowException, OSError) as error:
            remedy = (
                "`python -m flows.registry.promotion status` lists the versions"
                if is_refusal(error)
                else f"see whether the registry answers at {tracking_page()}"
            )
            raise DataError(f"{uri}: {shown(error)}. Remedy: {remedy}") from error
        found = list(_models(root))
        if not found:
            raise DataError(
                f"{place}: no folder with config.json and *.safetensors in it. Remedy: a version whose tag `crl.files` is true"
            )
        return [_shelved(folder, root, version) for folder in found]


def _version(uri: str, client: MlflowClient) -> ModelVersion:
    named = _URI.fullmatch(uri)
    if named is None:
        raise DataError(f"{uri}: no address of a version. Remedy: models:/NAME@ALIAS or models:/NAME/VERSION")
    if named["alias"]:
        return client.get_model_version_by_alias(named["name"], named["alias"])
    return client.get_model_version(named["name"], named["version"])


def _models(root: Path) -> Iterator[Path]:
    for file in sorted(root.rglob("config.json")):
        if any(file.parent.glob("*.safetensors")):
            yield file.parent


def _shelved(folder: Path, root: Path, version: ModelVersion) -> str:
    digest, part = digest_folder(folder), "model" if folder == root else folder.name
    if version.tags.get(f"crl.digest.{part}", digest) != digest:
        raise DataError(
            f"models:/{version.name}/{version.version}: {part} is not what was registered: digest {digest}. Remedy: another version"
        )
    target = shelf() / file_name(f"{version.name}-{version.version}-{part}-{digest[:8]}")

    def write(fresh: Path) -> None:
        shutil.copytree(folder, fresh, dirs_exist_ok=True)
        write_json(fresh / RECORD, {"file": f"models:/{version.name}/{version.version}", "digest": digest})

    if not (target / RECORD).is_file():
        write_atomically(target, write)
    return target.name


@command("the same command fetches it again")
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m flows.registry.weights", description="A version's weights as models.<role>.source."
    )
    parser.add_argument("uri", help="models:/NAME@ALIAS or models:/NAME/VERSION")
    for name in fetch(parser.parse_args(arguments).uri):
        print(name)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
