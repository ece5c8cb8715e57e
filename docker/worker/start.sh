#!/bin/sh
# Runs the given command; PREFECT_AUTH_FILE names the file with user:password of the Prefect server's API.
set -eu
if [ -n "${PREFECT_AUTH_FILE:-}" ]; then
    PREFECT_API_AUTH_STRING="$(cat "$PREFECT_AUTH_FILE")"
    export PREFECT_API_AUTH_STRING
fi
exec "$@"
