#!/usr/bin/env bash
# MLflow: opening a database of an earlier release migrates it, at once and unasked; the refusal "out-of-date schema" is not reached.
#
# Version:   mlflow 3.17.2, alembic 1.20.1, SQLite, Python 3.11
# Source:    mlflow/store/db/utils.py: `_safe_initialize_tables` runs before `_verify_schema`, takes a database in which any table of
#            the newest release is missing for one that is still to be made, and upgrades it to the head
# Guess:     a client of a newer release refuses the older database, and names `mlflow db upgrade` and a backup as what comes first.
# Behaviour: a database that lacks a table, as each of the six revisions before the head does, is at the head after a client was made.
#            Only one that has all tables of the head and another revision is refused, which none of these is.
# Matters:   Who tries a new release beside a team's tracking database has migrated it, without a backup and while others write.
#            Compare `alembic_version` with the head before anything opens the file.
# Output seen:
#   revisions before the head that opening moves to the head: 6 of 6
#   the head's tables with an older revision: refused
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check uv
"$work/env/bin/uv" pip install --quiet --python "$work/env/bin/python" mlflow==3.17.2 alembic==1.20.1
cat >"$work/probe.py" <<'PY'
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base
from sqlalchemy import create_engine


def revision(file):
    with closing(sqlite3.connect(file)) as database:
        return database.execute("select version_num from alembic_version").fetchone()[0]


def made(file, of):
    """A database as the release of this revision made it."""
    engine = create_engine(f"sqlite:///{file}")
    Base.metadata.create_all(engine)
    engine.dispose()
    command.upgrade(_get_alembic_config(f"sqlite:///{file}"), of)
    return file


def opened(file):
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()


migrations = ScriptDirectory(str(Path(mlflow.__file__).parent / "store/db_migrations"))
head, *earlier = [script.revision for script in migrations.walk_revisions()]
moved = 0
for before in earlier[:6]:
    file = made(f"{before}.db", before)
    assert revision(file) == before
    opened(file)
    moved += revision(file) == head
print(f"revisions before the head that opening moves to the head: {moved} of 6")
file = made("stamped.db", head)
with closing(sqlite3.connect(file)) as database, database:
    database.execute("update alembic_version set version_num = ?", (earlier[0],))
try:
    opened(file)
    print("the head's tables with an older revision: opened")
except MlflowException as error:
    print("the head's tables with an older revision:", "refused" if "out-of-date database schema" in str(error) else error)
PY
seen=$(cd "$work" && "$work/env/bin/python" probe.py 2>/dev/null)
expected="revisions before the head that opening moves to the head: 6 of 6
the head's tables with an older revision: refused"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "CHANGED: expected"; echo "$expected"; exit 1; }
