#!/usr/bin/env bash
# Sees to it that a Docker engine answers. Where none does and we are root on Debian: installs docker.io and debootstrap
# by apt, starts dockerd in the background (its log in CRL_DOCKERD_LOG) and waits until it answers. Leaves a working one alone.
set -euo pipefail
log="${CRL_DOCKERD_LOG:-/var/log/crl-dockerd.log}"
wait_s="${CRL_DOCKERD_WAIT_S:-90}"

fail() { echo "engine.sh: $1" >&2; exit 1; }
answers() { command -v docker >/dev/null && timeout 20 docker info >/dev/null 2>&1; }
say() { docker version --format 'Docker engine {{.Server.Version}} answers'; }

missing=()
command -v docker >/dev/null && { answers || command -v dockerd >/dev/null; } || missing+=(docker.io)
command -v debootstrap >/dev/null || missing+=(debootstrap)
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi
if answers; then say; exit 0; fi

[ -z "${DOCKER_HOST:-}" ] || fail "DOCKER_HOST=$DOCKER_HOST does not answer. Remedy: start that engine, or unset DOCKER_HOST"
[ "$(id -u)" = 0 ] || fail "no engine answers, and only root can start one. Remedy: sudo docker/engine.sh, or set DOCKER_HOST"
command -v dockerd >/dev/null || fail "dockerd is missing and apt could not install it. Remedy: install Docker"

# One start at a time: a second caller waits, then finds the engine that the first one started.
exec 9>"/run/lock/crl-dockerd.lock"
flock 9
if answers; then say; exit 0; fi
# What an engine that was killed leaves: a number that names nobody any more (or a corpse) keeps the next from starting.
for pidfile in /var/run/docker.pid /var/run/docker/containerd/containerd.pid; do
    [ -f "$pidfile" ] || continue
    alive="$(grep -csE '^(Name:\s+(dockerd|containerd)|State:\s+[RSDTI])' "/proc/$(cat "$pidfile")/status" || true)"
    [ "$alive" = 2 ] || rm -f "$pidfile"
done
setsid nohup dockerd >>"$log" 2>&1 </dev/null 9>&- &
pid=$!
for ((waited = 0; waited < wait_s; waited++)); do
    if answers; then say; exit 0; fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 1
done
tail -n 20 "$log" >&2
fail "dockerd did not answer within $wait_s s (end of $log above). Remedy: its message; often a machine without cgroups or iptables"
