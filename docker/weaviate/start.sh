#!/usr/bin/env bash
# Starts the server for whoever holds the key in the file that WEAVIATE_API_KEY_FILE names; nobody is let in without one.
set -euo pipefail
AUTHENTICATION_APIKEY_ALLOWED_KEYS="$(cat "${WEAVIATE_API_KEY_FILE:?names the file with the API key}")"
export AUTHENTICATION_APIKEY_ALLOWED_KEYS
export AUTHENTICATION_APIKEY_ENABLED=true AUTHENTICATION_APIKEY_USERS=crl AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED=false
exec weaviate-server --host 0.0.0.0 --port 8080 --scheme http
