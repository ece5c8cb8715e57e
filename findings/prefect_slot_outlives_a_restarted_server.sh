#!/usr/bin/env bash
# Prefect: a slot of a global concurrency limit that is held while the server restarts is never given back, though its holder ends well.
#
# Version:   prefect 3.8.8 with fastapi below 0.151 (PyPI), Python 3.11, the server on SQLite as it starts by default
# Guess:     the limit lies in the server's database, so it survives a restart, and a holder that leaves its block gives the slot back;
#            or, since slots are leased, the lease runs out and the server frees it.
# Behaviour: the database keeps `active_slots`, the leases are in the server's memory. After a restart the holder leaves
#            `with concurrency(...)` without an error, its slot stays taken, and no lease is left that could run out: the limit has one slot less for good.
#            Everybody who waits for it waits for ever.
# Matters:   A server is restarted for each upgrade. With a limit of 1 (a GPU, a licence) all later runs hang without a word until somebody
#            resets the limit by hand. PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE can name a storage on disk.
# Output seen:
#   while it is held: 1 active
#   after its holder left the block: 1 active
#   after 40 s more: 1 active
#   the next one: AcquireConcurrencySlotTimeoutError
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check prefect==3.8.8 "fastapi<0.151"
export PATH="$work/env/bin:$PATH" PREFECT_HOME="$work/home" PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1
port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PREFECT_API_URL="http://127.0.0.1:$port/api"
started() {
    prefect server start --host 127.0.0.1 --port "$port" >>"$work/server.log" 2>&1 &
    server=$!
    for _ in $(seq 240); do
        python -c "import urllib.request as u; u.urlopen('$PREFECT_API_URL/health', timeout=2)" 2>/dev/null && return
        sleep 0.5
    done
    echo "the server did not start"; tail -n 5 "$work/server.log"; exit 1
}
cat >"$work/hold.py" <<'PYTHON'
import pathlib, sys, time
from prefect.concurrency.sync import concurrency

folder = pathlib.Path(sys.argv[1])
with concurrency("gpu", occupy=1):
    (folder / "held").touch()
    while not (folder / "leave").exists():
        time.sleep(0.2)
PYTHON
cat >"$work/ask.py" <<'PYTHON'
from prefect.concurrency.sync import concurrency

try:
    with concurrency("gpu", occupy=1, timeout_seconds=20):
        print("the next one: has it")
except Exception as error:
    print(f"the next one: {type(error).__name__}")
PYTHON
active() { # WHEN
    python - "$1" <<'PYTHON'
import json, os, sys, urllib.request
with urllib.request.urlopen(os.environ["PREFECT_API_URL"] + "/v2/concurrency_limits/gpu") as answer:
    print(f"{sys.argv[1]}: {json.load(answer)['active_slots']} active")
PYTHON
}
started
prefect gcl create gpu --limit 1 >/dev/null
python "$work/hold.py" "$work" 2>"$work/hold.log" &
holder=$!
while [ ! -e "$work/held" ]; do sleep 0.2; done
seen=$(active "while it is held")
kill "$server"; wait "$server" || true
started
touch "$work/leave"
wait "$holder"
seen+=$'\n'$(active "after its holder left the block")
sleep 40
seen+=$'\n'$(active "after 40 s more")
seen+=$'\n'$(python "$work/ask.py" 2>/dev/null)
expected='while it is held: 1 active
after its holder left the block: 1 active
after 40 s more: 1 active
the next one: AcquireConcurrencySlotTimeoutError'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "CHANGED: expected"; echo "$expected"; exit 1; }
