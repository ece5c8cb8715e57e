"""What a version needs besides the agent's files to be served: `mlflow/served_agent.yaml`, with the libraries' versions of today.

The model's code is `mlflow/served_agent.py`.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "mlflow"


def serving() -> dict[str, Any]:
    """Plain values for `flows.tracking.model_versions.pyfunc_folder`, which makes an MLflow model of them and the files."""
    values = yaml.safe_load((FOLDER / "served_agent.yaml").read_text())
    pinned = [f"{name}=={version(name).partition('+')[0]}" for name in values.pop("packages")]
    return {**values, "code": str(FOLDER / "served_agent.py"), "pip_requirements": pinned}
