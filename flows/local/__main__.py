"""The servers of this machine, from one command.

    python -m flows.local start|stop|status [weaviate prefect mlflow actor extractor]
    python -m flows.local run -- COMMAND...      with a Prefect server for the time of the command

Without names: all of them. What cannot run on this machine is left out, and told; a server that is asked for by name
and cannot start is a failure.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.local import prefect_server
from flows.local.command import command
from flows.local.fleet import NAMES, Fleet, Standing

_STYLES = {"runs": "green", "dead": "bold red", "failed": "bold red", "left out": "yellow", "off": "dim"}


@command("what was starting is gone, what stood goes on")
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m flows.local", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("start", "stop", "status", "run"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; the command of `run`")
    given = parser.parse_args(arguments)
    if given.command == "run":
        with prefect_server.running():
            return _call(given.names or parser.error("run needs a command"))
    try:
        fleet = Fleet(given.names)
    except ValueError as error:
        parser.error(str(error))
    console = Console()
    if given.command == "start":
        with console.status(f"starting {', '.join(server.name for server in fleet.chosen)} ..."):
            found = fleet.start(lambda standing: console.print(f"{standing.name}: {_state(standing)}"))
    else:
        found = fleet.stop() if given.command == "stop" else fleet.status()
    _show(found, console)
    if given.command == "start" and (variables := fleet.environment()):
        console.print(f"\nFor the commands of this shell: [bold]set -a; . {fleet.home}/env; set +a[/]  which is")
        for name, value in variables.items():
            print(f"export {name}={shlex.quote(value)}")  # noqa: T201  unwrapped, to be copied
    wanted = {"off"} if given.command == "stop" else {"runs"}
    tolerated = set() if given.names else {"off", "left out"}
    return 0 if all(standing.state in wanted | tolerated for standing in found) else 1


def _call(command: list[str]) -> int:
    """Run it; it ends with us."""
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:  # Ctrl-C has reached it as well, SIGTERM has not
            process.terminate()
            raise


def _show(found: Sequence[Standing], console: Console) -> None:
    table = Table("server", "state", "process", "address", box=None, padding=(0, 2))
    table.columns[-1].no_wrap = True
    for standing in found:
        running = standing.running
        process, address = (str(running.pid), escape(running.url)) if running else ("", "")
        table.add_row(standing.name, _state(standing), process, address)
    console.print(table)
    for standing in found:
        if standing.note:
            console.print(f"{standing.name}: {standing.note}", markup=False, highlight=False, soft_wrap=True)


def _state(standing: Standing) -> str:
    return f"[{_STYLES[standing.state]}]{standing.state}[/]"


if __name__ == "__main__":
    sys.exit(main())
