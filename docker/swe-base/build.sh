#!/usr/bin/env bash
# Builds crl/swe-base:bookworm from Debian packages alone (no image registry): debootstrap, then `docker import`.
# Does nothing when the image of this recipe is there already. Needs root and debootstrap (docker/engine.sh installs it).
#   docker/swe-base/build.sh [TAG]          DEBIAN_MIRROR=URL picks the mirror (default: the first of this machine's apt sources)
#   BASE=debian@sha256:... docker/swe-base/build.sh   builds the Dockerfile on that base instead
set -euo pipefail
cd "$(dirname "$0")"
tag="${1:-crl/swe-base:bookworm}"
recipe="$(cat packages.txt finish.sh build.sh Dockerfile | sha256sum | cut -c1-16)-${BASE:-debootstrap}"

fail() { echo "build.sh: $1" >&2; exit 1; }

docker info >/dev/null 2>&1 || fail "no Docker engine answers. Remedy: docker/engine.sh, or set DOCKER_HOST"
if [ "$(docker image inspect --format '{{index .Config.Labels "crl.recipe"}}' "$tag" 2>/dev/null)" = "$recipe" ]; then
    echo "$tag is up to date"
    exit 0
fi

if [ -n "${BASE:-}" ]; then
    docker build --build-arg "BASE=$BASE" --label "crl.recipe=$recipe" -t "$tag" .
    exit 0
fi

[ "$(id -u)" = 0 ] || fail "debootstrap needs root. Remedy: sudo, or BASE=debian@sha256:... where a registry can be reached"
command -v debootstrap >/dev/null || fail "debootstrap is missing. Remedy: apt-get install debootstrap"

mirror="${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 2>/dev/null | head -n 1)}"
root="$(mktemp -d)"
trap 'rm -rf --one-file-system "$root"' EXIT
debootstrap --variant=minbase --include="$(paste -sd, packages.txt)" bookworm "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1 ||
    { tail -n 20 "$root.log" >&2; fail "debootstrap failed (log above). Remedy: check the mirror '${mirror:-default}', or set DEBIAN_MIRROR"; }
rm -f "$root.log"
cp finish.sh "$root/tmp/"
chroot "$root" sh /tmp/finish.sh
rm "$root/tmp/finish.sh"
tar -C "$root" --numeric-owner --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -c . |
    docker import \
        --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' --change 'ENV LANG=C.UTF-8' \
        --change 'USER agent' --change 'WORKDIR /testbed' \
        --change 'ENTRYPOINT ["/usr/bin/tini", "--"]' --change 'CMD ["bash"]' \
        --change "LABEL crl.recipe=$recipe" - "$tag" >/dev/null
echo "built $tag: $(docker image inspect --format '{{.Id}} {{.Size}} bytes' "$tag")"
