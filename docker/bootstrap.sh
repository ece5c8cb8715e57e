# shellcheck shell=bash
# What the build.sh of both base images share, sourced by them: an image from Debian packages alone, without a registry.
# Needs root and debootstrap (docker/engine.sh installs it). DEBIAN_MIRROR=URL picks the mirror (default: the first of this
# machine's apt sources).

fail() { echo "build.sh: $1" >&2; exit 1; }

# up_to_date TAG RECIPE: whether the engine holds the image of this recipe
up_to_date() {
    docker info >/dev/null 2>&1 || fail "no Docker engine answers. Remedy: docker/engine.sh, or set DOCKER_HOST"
    [ "$(docker image inspect --format '{{index .Config.Labels "crl.recipe"}}' "$1" 2>/dev/null)" = "$2" ] &&
        echo "$1 is up to date"
}

# bootstrap BASE: Debian bookworm with the packages of packages.txt in the new folder $root; BASE is what a registry would give
bootstrap() {
    [ "$(id -u)" = 0 ] || fail "debootstrap needs root. Remedy: sudo, or BASE=$1 where a registry can be reached"
    command -v debootstrap >/dev/null || fail "debootstrap is missing. Remedy: apt-get install debootstrap"
    local mirror
    mirror="${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 2>/dev/null | head -n 1)}"
    root="$(mktemp -d)"
    trap 'rm -rf --one-file-system "$root" "$root.log"' EXIT
    debootstrap --variant=minbase --include="$(paste -sd, packages.txt)" bookworm "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1 ||
        { tail -n 20 "$root.log" >&2; fail "debootstrap failed (log above). Remedy: check the mirror '${mirror:-default}', or set DEBIAN_MIRROR"; }
}

# import_root TAG RECIPE [--change LINE ...]: the image of $root
import_root() {
    tar -C "$root" --numeric-owner --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -c . |
        docker import "${@:3}" --change "LABEL crl.recipe=$2" - "$1" >/dev/null
    echo "built $1: $(docker image inspect --format '{{.Id}} {{.Size}} bytes' "$1")"
}
