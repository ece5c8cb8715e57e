#!/usr/bin/env bash
# Makes the database on the first start, then serves it. Passwords are checked by SCRAM on every address and on the socket.
set -euo pipefail
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD_FILE:?names the file with the password of the database user}"
    user="${POSTGRES_USER:-postgres}"
    rm -rf "$PGDATA.new" # of a first start that was cut off
    initdb --pgdata="$PGDATA.new" --username="$user" --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256 --data-checksums >/dev/null
    echo "host all all all scram-sha-256" >> "$PGDATA.new/pg_hba.conf"
    if [ "${POSTGRES_DB:-$user}" != postgres ]; then
        echo "CREATE DATABASE \"${POSTGRES_DB:-$user}\"" | postgres --single -D "$PGDATA.new" postgres >/dev/null
    fi
    mv "$PGDATA.new" "$PGDATA"
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -c jit=off
