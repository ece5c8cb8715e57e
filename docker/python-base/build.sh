#!/usr/bin/env bash
# Builds crl/python-base:bookworm from Debian packages alone (no image registry): debootstrap, then `docker import`.
# It takes the place of python:3.11-slim-bookworm as BASE of every image here. Does nothing when the image of this
# recipe is there already. Needs root and debootstrap (docker/engine.sh installs it).
#   docker/python-base/build.sh [TAG]       DEBIAN_MIRROR=URL picks the mirror (default: the first of this machine's apt sources)
set -euo pipefail
cd "$(dirname "$0")"
tag="${1:-crl/python-base:bookworm}"
recipe="$(cat packages.txt build.sh | sha256sum | cut -c1-16)"

fail() { echo "build.sh: $1" >&2; exit 1; }

docker info >/dev/null 2>&1 || fail "no Docker engine answers. Remedy: docker/engine.sh, or set DOCKER_HOST"
if [ "$(docker image inspect --format '{{index .Config.Labels "crl.recipe"}}' "$tag" 2>/dev/null)" = "$recipe" ]; then
    echo "$tag is up to date"
    exit 0
fi
[ "$(id -u)" = 0 ] || fail "debootstrap needs root. Remedy: sudo, or BASE=python@sha256:... where a registry can be reached"
command -v debootstrap >/dev/null || fail "debootstrap is missing. Remedy: apt-get install debootstrap"

mirror="${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 2>/dev/null | head -n 1)}"
root="$(mktemp -d)"
trap 'rm -rf --one-file-system "$root" "$root.log"' EXIT
debootstrap --variant=minbase --include="$(paste -sd, packages.txt)" bookworm "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1 ||
    { tail -n 20 "$root.log" >&2; fail "debootstrap failed (log above). Remedy: check the mirror '${mirror:-default}', or set DEBIAN_MIRROR"; }
# the lists stay away, the sources stay: images on this base install more by apt-get
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/* "$root"/usr/share/{doc,man,locale}/*
tar -C "$root" --numeric-owner --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -c . |
    docker import \
        --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin' --change 'ENV LANG=C.UTF-8' \
        --change 'CMD ["python3"]' --change "LABEL crl.recipe=$recipe" - "$tag" >/dev/null
echo "built $tag: $(docker image inspect --format '{{.Id}} {{.Size}} bytes' "$tag")"
