"""`make run` and `make lab`: the pipeline through DVC, one Prefect server for all stages, the closing screen."""

import argparse
import os
import subprocess
import sys

from filelock import FileLock, Timeout

from crl.config.compose import profiles
from flows import screen
from flows.local import prefect_server
from flows.pipeline import LOCK, commands, current_profile, interpreter_first
from flows.prefect.entry import console
from flows.tracking import recording


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m flows.run", description="Run the pipeline from the command line.")
    parser.add_argument("--profile", choices=profiles(), default=None, help="default: what params.yaml holds")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="changes to the profile")
    arguments = parser.parse_args()
    profile = arguments.profile or current_profile()
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        console.print("another pipeline run is working in this checkout: waiting for it")
        lock.acquire()
    with lock, prefect_server.running():
        console.print(f"Prefect: {prefect_server.pages() or 'ephemeral'}    profile: {profile}")
        [(_, command)] = commands(profile, arguments.overrides, ["report"])
        code = subprocess.call(command, env=os.environ | interpreter_first())
        if code == 0:
            recording.finish()
    if code == 0:
        screen.show()
    return code


if __name__ == "__main__":
    sys.exit(main())
