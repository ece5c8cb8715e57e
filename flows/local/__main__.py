"""The servers of this machine, from one command.

    python -m flows.local start|stop|status [weaviate prefect mlflow actor extractor]

Without names: all of them. What cannot run on this machine is left out, and told; a server that is asked for by name
and cannot start is a failure.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from flows.local.fleet import KINDS, Fleet, Standing

_STYLES = {"runs": "green", "dead": "bold red", "failed": "bold red", "left out": "yellow", "off": "dim"}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m flows.local", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("start", "stop", "status"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(kind.name for kind in KINDS))
    given = parser.parse_args(arguments)
    console = Console()
    try:
        fleet = Fleet(given.names)
    except ValueError as error:
        parser.error(str(error))
    if given.command == "start":
        try:
            found = _started(fleet, console)
        except KeyboardInterrupt:
            console.print("interrupted: what was starting is gone, what stood goes on")
            return 130
        _environment(fleet, console)
    else:
        found = fleet.stop() if given.command == "stop" else fleet.status()
        _show(found, console)
    wanted = {"start": {"runs"}, "status": {"runs"}, "stop": {"off"}}[given.command]
    tolerated = set() if given.names else {"off", "left out"}
    return 0 if all(standing.state in wanted | tolerated for standing in found) else 1


def _started(fleet: Fleet, console: Console) -> list[Standing]:
    columns = (SpinnerColumn(finished_text=" "), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        rows = {kind.name: progress.add_task(f"{kind.name} ...", total=1) for kind in fleet.chosen}

        def tell(standing: Standing) -> None:
            style = _STYLES[standing.state]
            text = f"{standing.name} [{style}]{standing.state}[/]"
            progress.update(rows[standing.name], description=text, completed=1)

        found = fleet.start(tell)
    _show(found, console)
    return found


def _show(found: Sequence[Standing], console: Console) -> None:
    table = Table("server", "state", "process", "address", box=None, padding=(0, 2))
    table.columns[-1].no_wrap = True
    for standing in found:
        running = standing.running
        state = f"[{_STYLES[standing.state]}]{standing.state}[/]"
        table.add_row(standing.name, state, str(running.pid) if running else "", escape(running.url) if running else "")
    console.print(table)
    for standing in found:
        if standing.note:
            console.print(f"{standing.name}: {standing.note}", markup=False, highlight=False, soft_wrap=True)


def _environment(fleet: Fleet, console: Console) -> None:
    if not (found := fleet.environment()):
        return
    console.print(f"\nFor the commands of this shell: [bold]set -a; . {fleet.home}/env; set +a[/]  which is")
    for name, value in found.items():
        print(f"export {name}={shlex.quote(value)}")  # noqa: T201  unwrapped, to be copied


if __name__ == "__main__":
    sys.exit(main())
