"""`crl models`: whether a chat model that a user brings talks, acts, learns and is stored here."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from crl.cli.findings import show_findings
from crl.doctor import Finding
from crl.doctor.chat import conversations_of
from crl.errors import ConfigError, DataError
from crl.models.context import check_named_context, config_file

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Check chat models before a run.")


@app.callback()
def _models() -> None: ...


@app.command()
def show(
    source: Annotated[str, typer.Argument(help="a folder, or owner/model in the hub's cache")],
    context_tokens: Annotated[
        int | None, typer.Option(min=1, help="the models.<role>.context_tokens that a run will ask of it")
    ] = None,
    weights: Annotated[bool, typer.Option(help="try its weights, too, on the CPU")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="print the findings as JSON")] = False,
) -> None:
    """Check how a model talks, acts, learns and is stored; exit status 1 where a run would go wrong."""
    found = list(_findings(source, context_tokens, weights))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=1))
    else:
        show_findings(found, source)
    if any(finding.status == "fail" for finding in found):
        raise typer.Exit(1)


def _findings(source: str, context_tokens: int | None, weights: bool) -> Iterator[Finding]:
    file = config_file(source)
    if file is None:
        raise DataError(
            f"source = {source!r}: no folder with a config.json, nor in the hub's cache. Remedy: name a model's folder, or "
            f"fetch it first: hf download {source}"
        )
    talk = list(conversations_of(file.parent, {}))
    yield from talk
    if context_tokens:
        yield from _context(source, context_tokens)
    if not weights or any(finding.status == "fail" for finding in talk):
        return
    if not any(file.parent.glob("*.safetensors")):
        yield Finding("warn", "no weights here: not tried", remedy="copy model.safetensors there, too", check="weights")
        return
    from transformers.utils import logging

    from crl.doctor.weights import weights_of

    logging.disable_progress_bar()
    yield from weights_of(file.parent, {})


def _context(source: str, context_tokens: int) -> Iterator[Finding]:
    try:
        check_named_context("<role>", source, context_tokens)
    except ConfigError as error:
        yield Finding.refused(error, "no text past its positions", "context")
