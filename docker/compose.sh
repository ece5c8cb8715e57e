#!/usr/bin/env bash
# Sees to it that `docker compose` works: leaves one that does alone, else builds Compose at a pinned version with Go, checked
# against Go's checksum database, as a plugin of this user's Docker client. Newer versions do not build by `go install`.
set -euo pipefail
version="${CRL_COMPOSE_VERSION:-v5.0.2}"
if docker compose version >/dev/null 2>&1; then docker compose version; exit 0; fi

go="$(command -v go || echo /usr/local/go/bin/go)"
[ -x "$go" ] || { echo "compose.sh: neither docker compose nor go is here. Remedy: install Docker's Compose plugin, or Go 1.24" >&2; exit 1; }
plugins="${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins"
built="$(mktemp -d)"
trap 'rm -rf "$built"' EXIT
GOBIN="$built" "$go" install -trimpath -ldflags "-s -w -X github.com/docker/compose/v5/internal.Version=$version" \
    "github.com/docker/compose/v5/cmd@$version"
mkdir -p "$plugins"
mv "$built/cmd" "$plugins/docker-compose"
docker compose version
