"""A new MLflow database in SQLite. `python -m flows.local.mlflow_database FILE` makes it where none is there."""

import os
import sys
from pathlib import Path


def make_database(file: Path) -> None:
    """Whole or not at all: MLflow makes the tables in dozens of steps, and can neither use nor mend what a kill leaves of them.

    Of several that make the same one, the last one's counts: call it under a lock, or before anybody writes.
    """
    from mlflow.db import upgrade  # seconds, for whoever finds one there

    partial = file.with_name(f".{file.name}.partial")
    partial.unlink(missing_ok=True)
    upgrade.callback(f"sqlite:///{partial}")  # `mlflow db upgrade`
    os.replace(partial, file)


if __name__ == "__main__":
    if not Path(sys.argv[1]).exists():
        make_database(Path(sys.argv[1]))
