"""What models are called in the registry: `mlflow/registry.yaml`."""

from dataclasses import dataclass
from pathlib import Path

import yaml

POLICY = Path(__file__).parents[1] / "mlflow" / "registry.yaml"


@dataclass(frozen=True)
class RegistryPolicy:
    models: dict[str, str]  # role -> name of the registered model
    alias: str  # that a new version gets


def policy(file: Path = POLICY) -> RegistryPolicy:
    return RegistryPolicy(**yaml.safe_load(file.read_text()))
