"""`crl bank import`: a published bank, or one of an earlier run, as what a run starts from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from crl.cli.bank_source import DEFAULT_RUN, Contents, Run
from crl.config import load


def import_bank(
    source: Annotated[
        str, typer.Argument(help="a published folder, a round of the run, a file that `export` wrote, or as --run")
    ],
    run: Run = DEFAULT_RUN,
    params: Annotated[Path, typer.Option(help="parameters of the run that is to start from it")] = Path("params.yaml"),
    task: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=OURS]", help="only this task's, under our name; may be repeated")
    ] = None,
) -> None:
    """Check a bank, keep it under its digest, and say by which parameter a run starts from it."""
    from crl.bank.start import Foreign, shelf
    from crl.embedding.open import open_embedder
    from crl.replies.screening import TextLimits, screen

    config, found = load(params), Contents.named(source, run)
    bank = Foreign(found.records, found.known, found.embedder)
    if task:
        bank = bank.of_tasks(_names(task))
    embedder = open_embedder(config)
    bank.check(config, embedder.name, embedder.dim)
    limits = TextLimits(1, config.bank.max_entry_chars)
    for record in bank.records:
        if reason := screen(record.entry.text, limits):
            typer.echo(f"{record.entry.id[:8]} stays out: {reason}", err=True)
    digest = bank.keep()
    typer.echo(
        f"{len(bank.records)} entries of {bank.scopes}, kept in {shelf()}. A run starts from them with\nbank.start={digest}"
    )


def _names(given: Sequence[str]) -> dict[str, str]:
    pairs = (each.partition("=") for each in given)
    return {name: ours or name for name, _, ours in pairs}
