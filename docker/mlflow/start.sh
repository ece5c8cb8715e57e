#!/bin/sh
# Starts the server. The database is named without a password (MLFLOW_DB_HOST, _USER, _NAME); the password lies in the file
# that MLFLOW_DB_PASSWORD_FILE names and reaches libpq by the environment, so no command line and no log shows it.
# Without MLFLOW_DB_HOST: SQLite in the home folder. `upgrade` brings the tables up to this image's MLflow and ends.
set -eu
store="sqlite:////home/crl/mlflow.db"
if [ -n "${MLFLOW_DB_HOST:-}" ]; then
    file="${MLFLOW_DB_PASSWORD_FILE:?names the file with the password of $MLFLOW_DB_HOST}"
    PGPASSWORD="$(cat "$file")"
    export PGPASSWORD
    store="postgresql+psycopg2://${MLFLOW_DB_USER:-mlflow}@${MLFLOW_DB_HOST}:${MLFLOW_DB_PORT:-5432}/${MLFLOW_DB_NAME:-mlflow}"
fi
if [ "${1:-}" = upgrade ]; then exec mlflow db upgrade "$store"; fi
exec mlflow server --host 0.0.0.0 --port 5000 --workers "${MLFLOW_WORKERS:-2}" --backend-store-uri "$store"
