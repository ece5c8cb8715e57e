#!/usr/bin/env bash
# Builds the Weaviate server at the pinned version into .servers/bin by `go install` (under 3 minutes with nothing cached).
# Leaves one of that version alone. Where there is no go: use the official image, or name a server with CRL_WEAVIATE_URL.
set -euo pipefail
cd "$(dirname "$0")/.."
version="v1.38.11" # as in crl/bank/weaviate/serve.py
bin="$PWD/.servers/bin"
stamp="$bin/weaviate-server.version"
module=github.com/weaviate/weaviate

up_to_date() {
    [ -x "$bin/weaviate-server" ] || return 1
    [ "$(cat "$stamp" 2>/dev/null)" = "$version" ] && return 0
    command -v go >/dev/null && go version -m "$bin/weaviate-server" | grep -qE "mod[[:space:]]+$module[[:space:]]+$version[[:space:]]"
}

if up_to_date; then
    echo "Weaviate $version is in .servers/bin"
    exit 0
fi
if ! command -v go >/dev/null; then
    echo "weaviate.sh: go is missing. Remedy: install Go 1.26 or newer, or set CRL_WEAVIATE_BINARY to a weaviate-server, or" \
        "CRL_WEAVIATE_URL to a server that runs" >&2
    exit 1
fi
mkdir -p "$bin"
built="$(mktemp -d "$bin/build.XXXXXX")"
trap 'rm -rf "$built"' EXIT
GOBIN="$built" go install -trimpath -ldflags "-w -s" "$module/cmd/weaviate-server@$version"
mv "$built/weaviate-server" "$bin/weaviate-server"
echo "$version" >"$stamp"
echo "Weaviate $version built into .servers/bin"
