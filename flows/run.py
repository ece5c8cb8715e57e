"""`make run` and `make lab`: the pipeline through DVC, one Prefect server for all stages, the closing screen."""

import argparse
import os
import subprocess
import sys
from functools import partial

from filelock import FileLock, Timeout
from rich.markup import escape

from crl.config import read
from crl.config.compose import profiles
from crl.errors import CrlError
from flows import screen
from flows.local import prefect_server
from flows.pipeline import LOCK, commands, interpreter_first
from flows.prefect.entry import console
from flows.stage import params
from flows.tracking import recording


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m flows.run", description="Run the pipeline from the command line.")
    parser.add_argument("--profile", choices=profiles(), default=None, help="default: what params.yaml holds")
    changes = "changes, for this run, to what params.yaml holds"
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=changes)
    arguments = parser.parse_args()
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        console.print("another pipeline run is working in this checkout: waiting for it")
        lock.acquire()
    with lock:
        try:
            say = partial(console.print, markup=False, highlight=False)
            experiment = params.ask(arguments.profile, arguments.overrides, say)
            profile = read(params.PARAMS).get("profile")
        except CrlError as error:
            console.print(f"[bold red]{type(error).__name__}[/]", escape(str(error)), sep="\n", highlight=False)
            return 2
        with prefect_server.running():
            console.print(f"Prefect: {prefect_server.pages() or 'ephemeral'}    profile: {profile}")
            [(_, command)] = commands(["report"], experiment=experiment)
            code = subprocess.call(command, env=os.environ | interpreter_first())
            if code == 0:
                recording.finish()
    if code == 0:
        screen.show()
    return code


if __name__ == "__main__":
    sys.exit(main())
