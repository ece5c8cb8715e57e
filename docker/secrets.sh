#!/usr/bin/env bash
# Makes the secret files that compose.yaml hands to its containers: random, made once, never overwritten.
#   docker/secrets.sh [FOLDER]     default: docker/secrets, which git ignores; then CRL_SECRETS=FOLDER for compose
# The folder is open to its owner alone. The files in it are readable, because a container reads them under a user of its own.
set -euo pipefail
folder="${1:-$(dirname "$0")/secrets}"
mkdir -p "$folder"
chmod 0700 "$folder"

make() { # NAME [PREFIX]: 32 random bytes in hexadecimal
    local file="$folder/$1"
    if [ -s "$file" ]; then echo "kept $file"; return; fi
    printf '%s%s\n' "${2:-}" "$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" > "$file.new"
    chmod 0444 "$file.new"
    mv "$file.new" "$file"
    echo "made $file"
}

make prefect_db_password
make mlflow_db_password
make prefect_auth crl: # user:password of the Prefect server's API and pages
make weaviate_api_key
make vllm_api_key
