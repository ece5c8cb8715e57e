"""`crl publish`: a run's actor, extractor and bank as folders in the hub's formats, with cards that tell where they come from."""

from pathlib import Path
from typing import Annotated

import typer

from crl.errors import ConfigError, DataError

app = typer.Typer(add_completion=False)


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="new: actor/, extractor/ and bank/ are written into it")],
    root: Annotated[Path, typer.Option(help="checkout in which the run was played")] = Path(),
    license: Annotated[
        str | None, typer.Option(help="of all three, as the hub spells it; without it that of the base models")
    ] = None,
    adapter: Annotated[bool, typer.Option("--adapter", help="adapters alone, where a model has one")] = False,
    without: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="leave this entry out; may be repeated")
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="upload to OWNER/NAME-actor, -extractor and -bank")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="new repositories are for everybody to see")] = False,
) -> None:
    """Write a complete run's agent into a folder, ready for the Hugging Face hub; upload it where that is asked for.

    Texts with secrets, e-mail addresses or paths of a machine are refused, with their places.
    """
    if push is not None:
        _check_push(push)
    from crl.bank.snapshot import read_records
    from crl.cli.bank_source import Contents
    from crl.publish.folders import write
    from crl.publish.outputs import Outputs

    run = Outputs.read(root)
    bank = Contents(*read_records(run.bank))
    gone = {bank.find(id_).entry.id for id_ in without or ()}
    kept = [record for record in bank.records if record.entry.id not in gone]
    write(run, folder, kept, bank.known, bank.embedder, license=license, left_out=len(gone), adapter=adapter)
    typer.echo(f"{folder}: actor/, extractor/ and bank/ of agent {run.agent.id}, {len(kept)} experiences")
    if push is not None:
        _push(folder, push, public)


def _check_push(prefix: str) -> None:
    """Raises ConfigError before anything is written."""
    from huggingface_hub import get_token
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(f"{prefix}-extractor")
    except HFValidationError as error:
        raise ConfigError(f"--push {prefix}: {str(error).rstrip('.')}. Remedy: OWNER/NAME") from None
    if "/" not in prefix:
        raise ConfigError(f"--push {prefix}: whose? Remedy: OWNER/NAME")
    if get_token() is None:
        raise ConfigError(
            f"--push {prefix}: no token of the hub. Remedy: `hf auth login`, or set HF_TOKEN; or publish without it"
        )


def _push(folder: Path, prefix: str, public: bool) -> None:
    from httpx2 import HTTPError  # the hub's client speaks through it
    from huggingface_hub import HfApi

    from crl.publish.folders import push

    try:
        for address in push(folder, prefix, HfApi(), public=public):
            typer.echo(address)
    except (HTTPError, OSError) as error:
        refused = getattr(getattr(error, "response", None), "status_code", None) in (401, 403)
        when = "with a token that may write there (`hf auth login`)" if refused else "when the hub can be reached"
        hidden = "" if public else "--private "  # which a repository that `hf upload` makes is not by itself
        raise DataError(
            f"--push {prefix}: {str(error).rstrip('.')}. Remedy: {folder} is written; {when}, "
            f"`hf upload {hidden}{prefix}-actor {folder}/actor`, and so the extractor and, with --repo-type dataset, the bank"
        ) from error
