"""`--run`: where the commands on a bank find it."""

from pathlib import Path
from typing import Annotated

import typer

from crl.bank.ledger import FILE_NAME
from crl.errors import DataError
from crl.round.state import latest_state

Run = Annotated[Path, typer.Option("--run", help="folder of the runs, of one run, or of a bank")]
DEFAULT_RUN = Path("runs/co_evolve")


def bank_folder(run: Path) -> Path:
    """The bank of a run; of the latest run when the folder holds several. Raises DataError."""
    for folder in (run, run / "bank"):
        if (folder / FILE_NAME).is_file():
            return folder
    if (run / "latest.json").is_file():
        return latest_state(run) / "bank"
    raise DataError(f"{run}: no bank in it. Remedy: run `make run` first, or pass --run FOLDER")
