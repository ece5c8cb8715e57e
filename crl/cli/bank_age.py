"""`crl bank age`: whether experience that was written long ago is still worth something."""

from contextlib import closing
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from crl.bank.ledger import Ledger
from crl.cli.bank_source import DEFAULT_RUN, bank_folder
from crl.study.age import Showing, by_age, showings

console = Console()


def age(
    runs: Annotated[list[Path] | None, typer.Argument(help="folders of runs or banks, taken together")] = None,
    scope: Annotated[str | None, typer.Option(help="only this task's table")] = None,
) -> None:
    """Guided minus free success by the age of what was shown, in rounds since it was last written, and since it was first.

    A description: age is not randomised, see crl/study/age.py.
    """
    found: list[Showing] = []
    for bank, run in enumerate(runs or [DEFAULT_RUN]):
        with closing(Ledger.read_only(bank_folder(run))) as ledger:
            found += showings(ledger, bank, scope)
    headings = ("age", "groups", "episodes", "mean round", "free", "guided minus free")
    for since in ("last", "first"):
        table = Table(*headings, title=f"since {since} written")
        for row in by_age(found, attrgetter(f"since_{since}")):
            effect = f"{row.effect:+.2f} [{row.low:+.2f}, {row.high:+.2f}]"
            cells = (f"{row.round:.1f}", f"{row.free:.0%}", effect) if row.groups else ("", "", "not shown")
            table.add_row(row.ages, str(row.groups), str(row.episodes), *cells)
        console.print(table)
    console.print(
        "Age is not randomised: old texts are those that were still chosen, and they are shown late. The experiment is the arm "
        "static_bank of a study.",
        highlight=False,
    )
