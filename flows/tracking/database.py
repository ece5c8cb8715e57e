"""A local MLflow database, `mlflow.db`: what MLflow itself does not look after where no server does."""

import logging
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import cache
from pathlib import Path

import mlflow
from alembic.script import ScriptDirectory
from filelock import FileLock
from mlflow.tracking import MlflowClient

from crl.errors import DataError
from flows.local.mlflow_database import make_database
from flows.stage.paths import HOME

log = logging.getLogger(__name__)
_REVISION = "alembic_version"  # the table that says of which release the others are
# Where MLflow 3.17 names artifacts by their full path; it has no call that changes one.
_PLACES = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "trace_tags": "value",
}


def file_of(uri: str) -> Path | None:
    """The database's file, with its full path; None for a server."""
    return Path(uri.removeprefix("sqlite:///")).resolve() if uri.startswith("sqlite:///") else None


def artifacts_of(file: Path, experiment: str) -> str:
    """Where an experiment's artifacts lie: beside the database. MLflow would take the working directory, which DVC may remove."""
    return str(file.parent / "mlruns" / re.sub(r"[^\w-]", "_", experiment))


@contextmanager
def being_opened(file: Path) -> Iterator[None]:
    """MLflow may open it in the block. A checkout's own database follows the checkout first, where that was moved or copied.

    Raises DataError for a folder that does not exist, which MLflow would make, for a file that is no database, which it would
    try for two minutes, and for a database of another MLflow, which it may migrate at once, whoever writes there.
    """
    if not file.parent.is_dir():
        raise DataError(
            f"sqlite:///{file}: there is no such folder. Remedy: MLFLOW_TRACKING_URI must name one that exists"
        )
    # MLflow makes the tables without a lock; two experiments that start at once would both do so.
    with FileLock(f"{file}.lock"):
        if file.exists():
            _check(file)
            if file.parent == HOME.resolve():
                _follow(file)
        else:
            make_database(file)
        yield


def client_of(uri: str) -> MlflowClient:
    """Of a server or a local database, which is looked at first. Raises what `being_opened` and MLflow raise."""
    file = file_of(uri)
    with being_opened(file) if file else nullcontext():
        return MlflowClient(uri)


def _check(file: Path) -> None:
    try:
        with closing(sqlite3.connect(file)) as database:
            tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
            found = (
                database.execute("select version_num from alembic_version").fetchall() if _REVISION in tables else []
            )
    except sqlite3.OperationalError:  # locked, or not to be read now
        raise
    except sqlite3.DatabaseError as error:
        raise DataError(
            f"{file}: {error}. Remedy: put a copy of it in its place, or what `sqlite3 {file.name} .recover` saves; then "
            "`python -m flows.tracking.recording drain`"
        ) from None
    if found and found != [(_newest_revision(),)]:
        raise DataError(
            f"{file}: its tables are of another MLflow (revision {', '.join(row[0] for row in found)}, this one's is "
            f"{_newest_revision()}); nothing was changed. Remedy: stop the writers, make a copy, then `mlflow db upgrade "
            f"sqlite:///{file.name}` (docs/mlflow.md, Upgrade of MLflow)"
        )


@cache
def _newest_revision() -> str | None:
    return ScriptDirectory(str(Path(mlflow.__file__).parent / "store/db_migrations")).get_current_head()


def _follow(file: Path) -> None:
    """Name the artifacts where they lie since the checkout was moved; MLflow would make the old place again, and write there."""
    with closing(sqlite3.connect(file)) as database, database:
        if not database.execute("select 1 from sqlite_master where name = 'experiments'").fetchone():
            return
        for (place,) in database.execute("select distinct artifact_location from experiments").fetchall():
            old = Path(place or "")
            new = file.parent / "mlruns" / old.name
            ours = old.is_absolute() and old.parent.name == "mlruns" and old != new
            if ours and (new.exists() or not old.exists()):
                for table, column in _PLACES.items():
                    database.execute(
                        f"update {table} set {column} = ? || substr({column}, ?) where {column} = ? or substr({column}, 1, ?) = ?",
                        (str(new), len(place) + 1, place, len(place) + 1, f"{place}/"),
                    )
                if new.exists():
                    log.warning("%s was moved: its artifacts were in %s and are in %s", file, old, new)
