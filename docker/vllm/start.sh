#!/bin/sh
# Starts a server with the given arguments; CRL_VLLM_API_KEY_FILE names the file with the key, which reaches it by the environment.
set -eu
VLLM_API_KEY="$(cat "${CRL_VLLM_API_KEY_FILE:?names the file with the API key}")"
export VLLM_API_KEY
exec python3 -m vllm.entrypoints.openai.api_server --host=0.0.0.0 --port=8000 "$@"
