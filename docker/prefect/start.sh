#!/bin/sh
# Starts the server. Secrets come from files: PREFECT_DB_PASSWORD_FILE for the database (with PREFECT_DB_HOST; without it
# SQLite in the home folder), PREFECT_AUTH_FILE with user:password for the API and its pages (without it: open to all who reach it).
set -eu
if [ -n "${PREFECT_DB_HOST:-}" ]; then
    PREFECT_SERVER_DATABASE_DRIVER=postgresql+asyncpg
    PREFECT_SERVER_DATABASE_HOST="$PREFECT_DB_HOST"
    PREFECT_SERVER_DATABASE_PORT="${PREFECT_DB_PORT:-5432}"
    PREFECT_SERVER_DATABASE_USER="${PREFECT_DB_USER:-prefect}"
    PREFECT_SERVER_DATABASE_NAME="${PREFECT_DB_NAME:-prefect}"
    PREFECT_SERVER_DATABASE_PASSWORD="$(cat "${PREFECT_DB_PASSWORD_FILE:?names the file with the password of $PREFECT_DB_HOST}")"
    export PREFECT_SERVER_DATABASE_DRIVER PREFECT_SERVER_DATABASE_HOST PREFECT_SERVER_DATABASE_PORT
    export PREFECT_SERVER_DATABASE_USER PREFECT_SERVER_DATABASE_NAME PREFECT_SERVER_DATABASE_PASSWORD
fi
if [ -n "${PREFECT_AUTH_FILE:-}" ]; then
    PREFECT_SERVER_API_AUTH_STRING="$(cat "$PREFECT_AUTH_FILE")"
    PREFECT_API_AUTH_STRING="$PREFECT_SERVER_API_AUTH_STRING" # the server's own services are its clients
    export PREFECT_SERVER_API_AUTH_STRING PREFECT_API_AUTH_STRING
fi
exec prefect server start --host 0.0.0.0 --port 4200
