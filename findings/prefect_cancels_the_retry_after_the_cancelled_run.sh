#!/usr/bin/env bash
# Prefect: who cancels a run says so seconds after its process has ended, whatever has become of the run, and so takes the slot from its retry.
#
# Version:   prefect 3.8.8 with fastapi below 0.151 (PyPI), Python 3.11, the server on SQLite as it starts by default
# Guess:     a run in Cancelling whose process is gone can be brought to Cancelled by somebody else (an automation that ends what hangs there
#            too long, a script), and retried then: the retry is a new attempt, and the cancellation was the old one's.
# Behaviour: the runner looks every three seconds whether the process has ended, and then proposes Cancelled for the run by its id. The retry
#            that was begun in between becomes Cancelled, and the server takes the slot of the deployment's limit back; its process starts, or
#            goes on, nevertheless. One that was still starting is Running then, finds its slot gone, and crashes.
# Matters:   "slots are no longer reserved", seconds after a cancel and a retry, on a busy machine (23 s after the process had ended were seen); or a
#            run that shows Cancelled and works. Wait for the runner's "Cancelled flow run" before a retry, and give an automation that ends stuck
#            runs far more time than a runner takes.
# Output seen:
#   its process has ended: Cancelling
#   the retry is accepted: ACCEPT
#   the retry's state: Cancelled
#   the retry's process: runs
set -euo pipefail
work=$(mktemp -d)
server= runner=
trap 'for each in $runner $server; do kill "$each" 2>/dev/null || true; done; rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check prefect==3.8.8 "fastapi<0.151"
export PATH="$work/env/bin:$PATH" PREFECT_HOME="$work/home" PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1
export PREFECT_RUNNER_POLL_FREQUENCY=1
port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PREFECT_API_URL="http://127.0.0.1:$port/api"
prefect server start --host 127.0.0.1 --port "$port" >>"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 240); do
    python -c "import urllib.request as u; u.urlopen('$PREFECT_API_URL/health', timeout=2)" 2>/dev/null && break
    sleep 0.5
done
cat >"$work/hold.py" <<'PYTHON'
import asyncio, os, pathlib
from prefect import flow

@flow
async def hold():
    pathlib.Path("begun").write_text(str(os.getpid()))
    await asyncio.sleep(300)

if __name__ == "__main__":
    hold.serve(name="one", global_limit=1, print_starting_message=False)
PYTHON
cat >"$work/cancel.py" <<'PYTHON'
import pathlib, time
from prefect import get_client
from prefect.exceptions import ObjectNotFound
from prefect.states import AwaitingRetry, Cancelled, Cancelling

begun = pathlib.Path("begun")

def wait(holds, seconds=120):
    deadline = time.monotonic() + seconds
    while not (answer := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer

def ended(pid):
    status = pathlib.Path(f"/proc/{pid}/status")
    return not status.exists() or "State:\tZ" in status.read_text()

def served():
    try:
        return client.read_deployment_by_name("hold/one")
    except ObjectNotFound:
        return None

with get_client(sync_client=True) as client:
    run = client.create_flow_run_from_deployment(wait(served).id).id
    pid = int(wait(lambda: begun.exists() and begun.read_text()))
    client.set_flow_run_state(run, Cancelling())
    wait(lambda: ended(pid))
    print("its process has ended:", client.read_flow_run(run).state.name)
    client.set_flow_run_state(run, Cancelled(), force=True)
    begun.unlink()  # the new process writes it anew
    print("the retry is accepted:", client.set_flow_run_state(run, AwaitingRetry()).status.value)
    cancelled = wait(lambda: client.read_flow_run(run).state.is_cancelled())
    print("the retry's state:", "Cancelled" if cancelled else client.read_flow_run(run).state.name)
    pid = int(wait(lambda: begun.exists() and begun.read_text()) or 0)
    print("the retry's process:", "runs" if pid and not ended(pid) else "does not run")
PYTHON
cd "$work"
python hold.py >"$work/runner.log" 2>&1 &
runner=$!
seen=$(python cancel.py)
expected='its process has ended: Cancelling
the retry is accepted: ACCEPT
the retry'"'"'s state: Cancelled
the retry'"'"'s process: runs'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "CHANGED: expected"; echo "$expected"; tail -n 20 "$work/runner.log"; exit 1; }
