"""`crl bank page`: the bank as a page for any browser, in one file that needs no network."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from crl.cli.bank_source import DEFAULT_RUN, bank_folder, config_of, ledger_folder, snapshots_of
from crl.config.play import RetrievalConfig
from crl.episode.transcripts import Transcript
from crl.errors import DataError

if TYPE_CHECKING:  # it needs torch: seconds, for every other command
    from crl.report.bank_history import History

console = Console()


def page(
    bank: Annotated[
        Path, typer.Argument(help="folder of a run, of a bank, or of its snapshots; or one snapshot: a bank.parquet")
    ] = DEFAULT_RUN,
    out: Annotated[Path, typer.Option(help="the file that is written")] = Path("bank.html"),
    situation: Annotated[
        list[str] | None, typer.Option(help="tell what retrieval returns for this one; may be repeated")
    ] = None,
) -> None:
    """Write the bank as one HTML file: entries, effects, origins, rounds, retrieval. By the ledger where there is one."""
    from crl.embedding.open import load_embedder
    from crl.report.bank_page import Asked, write_bank_page

    if not out.parent.is_dir():
        raise DataError(f"{out}: no folder {out.parent}. Remedy: make it, or write elsewhere")
    history = _history(bank)
    config = config_of(bank) if bank.is_dir() else None
    asked: Sequence[Asked] = ()
    if situation:
        asked = tuple(map(Asked, situation, load_embedder(history.embedder).embed(situation)))
    retrieval = config.retrieval if config else RetrievalConfig()
    write_bank_page(history, out, retrieval=retrieval, transcripts=_transcripts(bank), asked=asked)
    console.print(f"{len(history.records)} entries, by the {history.source}: {out}", highlight=False)


def _history(bank: Path) -> "History":
    from crl.report.bank_history import History

    if bank.is_file():
        return History.of_snapshots({None: bank})
    if ledger_folder(bank) is None and (files := snapshots_of(bank)):
        return History.of_snapshots(files)
    return History.of_ledger(bank_folder(bank))


def _transcripts(bank: Path) -> list[Transcript]:
    """Of the rounds' reports, which lie beside a run's bank."""
    from crl.round.commit import reports

    folder = ledger_folder(bank) if bank.is_dir() else None
    return [each for report in reports(folder.parent) for each in report.transcripts] if folder else []
