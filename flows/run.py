"""`make run` and `make lab`: the pipeline through DVC, one Prefect server for all stages, the closing screen."""

import argparse
import fcntl
import os
import sys
from functools import partial

from crl.config import read
from crl.config.compose import profiles
from flows import screen
from flows.local import leash, prefect_server
from flows.local.command import command, console
from flows.pipeline import LOCK, commands, interpreter_first, needs_checkout
from flows.stage import params, run_cache
from flows.tracking import recording


@command(grace_s=leash.GRACE_S + 10)
def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m flows.run", description="Run the pipeline from the command line.")
    parser.add_argument("--profile", choices=profiles(), default=None, help="default: what params.yaml holds")
    changes = "changes, for this run, to what params.yaml holds"
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=changes)
    arguments = parser.parse_args()
    needs_checkout()
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("another pipeline run is working in this checkout: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        experiment = params.ask(
            arguments.profile, arguments.overrides, partial(console.print, markup=False, highlight=False)
        )
        profile = read(params.PARAMS).get("profile")
        with prefect_server.running():
            console.print(f"Prefect: {prefect_server.pages() or 'ephemeral'}    profile: {profile}")
            run_cache.mend()
            [(_, dvc)] = commands(["report"], experiment=experiment)
            code = leash.run(dvc, environment=os.environ | interpreter_first(), held=[lock.fileno()])
            if code == 0:
                recording.finish()
    if code == 0:
        screen.show()
    return code


if __name__ == "__main__":
    sys.exit(main())
