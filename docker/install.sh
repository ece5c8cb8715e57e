#!/bin/sh
# Inside a build stage: makes /opt/venv and installs into it what the given files name, at the versions and hashes of the
# locks beside this script. A *.names file holds one package per line, a *.in file pinned requirements, a *.lock file both.
#   install.sh mlflow.names postgres.lock      EXCLUDE="torch ..." leaves packages out, with all that only they need
set -eu
cd "$(dirname "$0")"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 UV_LINK_MODE=copy
cat /etc/ssl/certs/ca-certificates.crt certs/*.crt > authorities.pem 2>/dev/null || true # without certs/*.crt: the base's own
export PIP_CERT="$PWD/authorities.pem" SSL_CERT_FILE="$PWD/authorities.pem"

constraints=""
for lock in locks/*.lock; do constraints="$constraints -c $lock"; done
wanted=""
for part in "$@"; do
    case "$part" in
        *.names)
            for name in $(sed 's/#.*//' "$part"); do
                line="$(grep -hE "^$name==" locks/*.lock | sed 's/ .*//' | sort -u)"
                [ -n "$line" ] || { echo "install.sh: $part names $name, which no lock holds. Remedy: make lock" >&2; exit 1; }
                echo "$line"
            done > "$part.txt"
            wanted="$wanted -r $part.txt" ;;
        *) wanted="$wanted -r $part" ;;
    esac
done
for name in ${EXCLUDE:-}; do echo "$name"; done > excludes.txt

python3 -m venv uv
uv/bin/pip install --quiet --require-hashes -r uv.lock
python3 -m venv --without-pip /opt/venv
uv/bin/uv pip install --quiet --python /opt/venv/bin/python --require-hashes --compile-bytecode --excludes excludes.txt $constraints $wanted
