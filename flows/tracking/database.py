"""A local MLflow database, `mlflow.db`: what MLflow itself does not look after where no server does."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock

from crl.errors import DataError


def file_of(uri: str) -> Path | None:
    """The database's file, with its full path; None for a server."""
    return Path(uri.removeprefix("sqlite:///")).resolve() if uri.startswith("sqlite:///") else None


def artifacts_of(file: Path, experiment: str) -> str:
    """Where an experiment's artifacts lie: beside the database. MLflow would take the working directory, which DVC may remove."""
    return str(file.parent / "mlruns" / re.sub(r"[^\w-]", "_", experiment))


@contextmanager
def being_opened(file: Path) -> Iterator[None]:
    """MLflow may open it in the block.

    Raises DataError for a folder that does not exist, which MLflow would make, and for a file that is no database, which it would
    try for two minutes.
    """
    if not file.parent.is_dir():
        raise DataError(
            f"sqlite:///{file}: there is no such folder. Remedy: MLFLOW_TRACKING_URI must name one that exists"
        )
    # MLflow makes the tables without a lock; two experiments that start at once would both do so.
    with FileLock(f"{file}.lock"):
        if file.exists():
            _check(file)
        yield


def _check(file: Path) -> None:
    try:
        with closing(sqlite3.connect(file)) as database:
            database.execute("select count(*) from sqlite_master").fetchone()
    except sqlite3.OperationalError:  # locked, or not to be read now
        raise
    except sqlite3.DatabaseError as error:
        raise DataError(
            f"{file}: {error}. Remedy: put a copy of it in its place, or what `sqlite3 {file.name} .recover` saves; then "
            "`python -m flows.tracking.recording drain`"
        ) from None
