"""Where the commands of `crl bank` find a bank: a run's ledger, or without it the snapshots that DVC brings back."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from crl.bank.connection import FILE_NAME
from crl.bank.effect import Beliefs
from crl.bank.ledger import Ledger
from crl.bank.memory import Memory
from crl.bank.records import Record
from crl.config import Config, from_mapping
from crl.errors import BankError, DataError
from crl.files import read_json, round_folder, rounds_in
from crl.round.state import latest_state

Run = Annotated[Path, typer.Option("--run", help="folder of the runs, of one run, of a bank, or of its snapshots")]
DEFAULT_RUN = Path("runs/co_evolve")
_PUT_OUT = Path("bank")  # by the stage co_evolve: a snapshot per round


def ledger_folder(run: Path) -> Path | None:
    """Where the ledger of a run is; of the latest run when the folder holds several. None: there is no ledger."""
    latest = [latest_state(run) / "bank"] if (run / "latest.json").is_file() else []
    return next((folder for folder in (run, run / "bank", *latest) if (folder / FILE_NAME).is_file()), None)


def bank_folder(run: Path) -> Path:
    """The bank of a run, with its ledger. Raises DataError, and says then what can be done without one."""
    if folder := ledger_folder(run):
        return folder
    if file := newest_snapshot(run):
        raise DataError(
            f"{run}: no ledger in it. There is {file}, which `ls`, `show`, `search` and `export` read; a bank's history, and what "
            "can be written to, is its ledger, which DVC does not keep. Remedy: the checkout in which the run was played; or "
            "play it in this one, dvc repro -f -s co_evolve"
        )
    raise DataError(f"{run}: no bank in it. Remedy: `dvc pull` or `make run` first, or pass --run FOLDER")


def newest_snapshot(run: Path) -> Path | None:
    """The newest `bank.parquet` of a run, or of a folder of snapshots; of what DVC keeps here when no run is named."""
    from crl.bank.snapshot import FILE_NAME as SNAPSHOT

    folders = [each for place in _places(run) for each in (place, *_newest_first(place))]
    return next((folder / SNAPSHOT for folder in folders if (folder / SNAPSHOT).is_file()), None)


def snapshots_of(run: Path) -> dict[int, Path]:
    """The `bank.parquet` of each round that a run kept one of, by round."""
    from crl.bank.snapshot import FILE_NAME as SNAPSHOT

    found = {
        each: round_folder(place, each) / SNAPSHOT for place in reversed(_places(run)) for each in rounds_in(place)
    }
    return {each: found[each] for each in sorted(found) if found[each].is_file()}


def snapshot_of_round(run: Path, round_: int) -> Path:
    """The `bank.parquet` that a run wrote at the end of this round. Raises DataError where there is none."""
    found = snapshots_of(run)
    if round_ in found:
        return found[round_]
    remedy = (
        f"a round from {min(found)} to {max(found)}" if found else "`dvc pull` or `make run` first, or --run FOLDER"
    )
    raise DataError(f"{round_}: {run} has no snapshot of that round. Remedy: {remedy}")


def _places(run: Path) -> list[Path]:
    """Folders that may hold a run's snapshots."""
    latest = [latest_state(run) / "snapshots"] if (run / "latest.json").is_file() else []
    return [*latest, run, run / "snapshots", run / "bank", *([_PUT_OUT] if run == DEFAULT_RUN else [])]


def _newest_first(place: Path) -> list[Path]:
    return [round_folder(place, round_) for round_ in reversed(rounds_in(place))]


def config_of(run: Path) -> Config | None:
    """The parameters that a run was played with; None where the folder is of no run."""
    folder = ledger_folder(run)
    file = folder.parent / "run.json" if folder else run / "run.json"
    return from_mapping(read_json(file)["config"]) if file.is_file() else None


@dataclass(frozen=True)
class Contents:
    """What a bank holds."""

    records: Sequence[Record]  # what was written last at the end
    known: Beliefs
    embedder: str  # that made the keys

    @classmethod
    def read(cls, run: Path) -> "Contents":
        """From the ledger, or else from the newest snapshot, which is told. Raises DataError where there is neither."""
        if ledger_folder(run) is None and (file := newest_snapshot(run)):
            from crl.bank.snapshot import read_records

            typer.echo(f"no ledger in {run}: read from {file}, the bank as it was put out", err=True)
            return cls(*read_records(file))
        with closing(Ledger.read_only(bank_folder(run))) as ledger:
            records = list(ledger.records())
            return cls(records, Memory.read(ledger, records), ledger.meta("embedder"))

    @classmethod
    def named(cls, name: str, run: Path) -> "Contents":
        """Of a round of the run (its number), of a file as `export` writes it, or of what `read` takes."""
        from crl.bank.snapshot import read_records

        if name.isdecimal():
            return cls(*read_records(snapshot_of_round(run, int(name))))
        return cls(*read_records(Path(name))) if Path(name).is_file() else cls.read(Path(name))

    def write(self, file: Path) -> None:
        """As the snapshot that it would be now."""
        from crl.bank.snapshot import table_of, write_table

        write_table(table_of(self.records, self.known, self.embedder), file)

    def of_scope(self, scope: str | None) -> list[Record]:
        return [record for record in self.records if scope in (None, record.entry.task)]

    def find(self, entry_id: str) -> Record:
        """By id or by a prefix of it that only one entry has. Raises BankError."""
        found = [record for record in self.records if record.entry.id.startswith(entry_id)]
        return found[0] if len(found) == 1 else no_entry(entry_id)


def no_entry(entry_id: str) -> NoReturn:
    raise BankError(f"{entry_id}: no entry, or more than one, begins with that id. Remedy: see `crl bank ls`")
