#!/usr/bin/env bash
# Builds images of this repository, one per role; each is tagged crl/<role>:<version>.
#   docker/build.sh mlflow prefect worker ...      `all` names every role
#   BASE=...        the base of each: python@sha256:... (3.11-slim-bookworm) where a registry can be reached.
#                   Without it crl/python-base:bookworm, which is made here from Debian packages alone
#                   (vllm has a base of its own, from a registry: VLLM_BASE=vllm/vllm-openai@sha256:...)
#   EXTRA_CA=FILE   authorities that the build must trust, where a proxy stands before the package index
#   BUILD_ARGS="PARTS=cli EXCLUDE=..."  more --build-arg, separated by semicolons
set -euo pipefail
cd "$(dirname "$0")/.."
roles=(weaviate postgres prefect mlflow worker trainer sandbox-engine vllm)
[ "${1:-}" != all ] || set -- "${roles[@]}"
[ $# -gt 0 ] || { echo "build.sh: name a role: ${roles[*]}, or all" >&2; exit 1; }

version="${CRL_VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)}"
revision="$(git rev-parse HEAD 2>/dev/null || echo unknown)"
if [ -z "${BASE:-}" ]; then
    docker/python-base/build.sh
    BASE=crl/python-base:bookworm
fi
[ -z "${EXTRA_CA:-}" ] || cp "$EXTRA_CA" docker/certs/extra.crt
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0 # Debian's engine has the classic builder only
arguments=(--build-arg "REVISION=$revision")
IFS=';' read -ra more <<< "${BUILD_ARGS:-}"
for argument in "${more[@]}"; do arguments+=(--build-arg "$argument"); done

for role in "$@"; do
    file="docker/$role/Dockerfile"
    [ -f "$file" ] || { echo "build.sh: no role $role; there are ${roles[*]}" >&2; exit 1; }
    started=$SECONDS
    base="$BASE"
    [ "$role" != vllm ] || base="${VLLM_BASE:?names the image of vLLM, by digest}"
    this=("${arguments[@]}" --build-arg "BASE=$base" --label "org.opencontainers.image.version=$version" -t "crl/$role:$version" -f "$file")
    if [ "$role" = weaviate ]; then # 145 MB that no other image wants in its context
        tar --create --dereference .servers/bin/weaviate-server docker/weaviate | docker build --quiet "${this[@]}" - >/dev/null
    else
        docker build --quiet "${this[@]}" . >/dev/null
    fi
    echo "built crl/$role:$version in $((SECONDS - started)) s: $(docker image inspect --format '{{.Size}} bytes' "crl/$role:$version")"
done
