#!/usr/bin/env bash
# By hand: starts the profile `sandbox` under a project name of its own, loads the base image into it, and sees through crl/sandbox
# that commands run there and that memory and processes are bounded. Removes all of it at the end. Needs root (the socket lies in
# a volume), `docker/build.sh sandbox-engine`, `docker/swe-base/build.sh` and the environment of `make install`.
set -euo pipefail
cd "$(dirname "$0")/.."
export COMPOSE_PROJECT_NAME="crl-try-$$"
compose=(docker compose --env-file /dev/null -f docker/compose.yaml --profile sandbox)
trap '"${compose[@]}" down --volumes --timeout 5' EXIT

"${compose[@]}" up --detach --wait --wait-timeout 120 sandbox
docker save crl/swe-base:bookworm | "${compose[@]}" exec -T sandbox docker load
socket="$(docker volume inspect --format '{{.Mountpoint}}' "${COMPOSE_PROJECT_NAME}_sandbox-socket")/docker.sock"
DOCKER_HOST="unix://$socket" .venv/bin/python - <<'END'
from crl.config.sandbox import SandboxConfig
from crl.sandbox import SandboxPool

pool = SandboxPool(SandboxConfig(warm=0, memory_mb=128, disk_mb=32, processes=64))
try:
    sandbox = pool.take()
    plain = sandbox.run("id -u")
    memory = sandbox.run("python3 -c 'bytearray(400 * 2**20)'")
    processes = sandbox.run("for i in $(seq 300); do sleep 20 & done; wait", timeout_s=20)
finally:
    pool.close()
assert (plain.exit_code, plain.output) == (0, "1000\n"), plain
assert memory.exit_code == 137, memory
assert "Resource temporarily unavailable" in processes.output, processes
print("commands run as uid 1000; memory and processes are bounded")
END
