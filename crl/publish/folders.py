"""A run's agent as three folders in the hub's formats: `actor/`, `extractor/`, `bank/`, each with its card; and their upload."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi

from crl.bank.records import Record
from crl.bank.snapshot import FILE_NAME, Rows, table_of, write_table
from crl.errors import ConfigError, DataError
from crl.files import digest_file, read_json, write_json
from crl.models.adapter import BASE
from crl.publish.cards import Bank, bank_card, model_card
from crl.publish.outputs import ROLES, Outputs
from crl.publish.private import private

_WORDS = {"tokenizer.json", "vocab.json", "added_tokens.json"}  # any string may be a token
_PLACES_TOLD = 20


def write(
    run: Outputs, target: Path, records: Sequence[Record], known: Rows, embedder: str, *,
    license: str | None = None, left_out: int = 0, adapter: bool = False,
) -> None:  # fmt: skip
    """Write the three folders into `target`, which is new or empty; all of it or nothing. The same run gives the same bytes.

    `license`: of all three, where it is not that of the base models; `adapter`: adapters alone where a model has one;
    `left_out`: how many of the bank's entries are not among `records`.

    Raises ConfigError for a licence that nobody knows or an adapter without a published base, DataError for a folder that
    holds something, and for anything private, with the places.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise DataError(f"{target}: not empty. Remedy: name a new folder")
    _refuse([place for record in records for place in _in_entry(record)], "--without ID leaves an entry out")
    licenses = {role: license or _license(run, role) for role in ROLES}
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
        folder = Path(scratch) / "all"
        write_table(table_of(records, known, embedder), folder / "bank" / FILE_NAME)
        bank = Bank(records, known, left_out, digest_file(folder / "bank" / FILE_NAME))
        (folder / "bank" / "README.md").write_text(str(bank_card(run, licenses["extractor"], bank)))
        for role in ROLES:
            alone = adapter and (run.models / role / "adapter").is_dir()
            _copy_model(run, role, folder / role, alone=alone)
            card = model_card(run, role, licenses[role], bank, adapter=alone)
            (folder / role / "README.md").write_text(str(card))
        if adapter and not any((folder / role / "adapter_config.json").is_file() for role in ROLES):
            raise ConfigError(
                f"--adapter: no model in {run.models} has one. Remedy: without it, whole weights are published"
            )
        remedy = "name models by their names on the hub (models.<role>.source), or publish without --adapter"
        _refuse([place for file in _texts(folder) for place in _in_file(file, folder)], remedy)
        os.replace(folder, target)


def _copy_model(run: Outputs, role: str, folder: Path, *, alone: bool) -> None:
    """The model with its adapter merged, or the adapter `alone`, which then names its base as the hub does."""
    if not alone:
        shutil.copytree(run.models / role, folder, ignore=shutil.ignore_patterns("adapter"))
        return
    base = run.bases[role]
    if base.hub is None:
        raise ConfigError(
            f"--adapter: the {role}'s base, {base.name}, is not on the hub, so its adapter could not be used. Remedy: without it, "
            "whole weights are published"
        )
    shutil.copytree(run.models / role / "adapter", folder)
    for name, field in (("adapter_config.json", "base_model_name_or_path"), (BASE, "source")):
        write_json(folder / name, read_json(folder / name) | {field: base.hub})


def _license(run: Outputs, role: str) -> str:
    base = run.bases[role]
    if base.license is None:
        raise ConfigError(
            f"{role}: no licence is known of its base ({base.name}). Remedy: --license apache-2.0, or another that you may give "
            "(https://huggingface.co/docs/hub/repositories-licenses)"
        )
    return base.license


def _in_entry(record: Record) -> Iterator[str]:
    for column in ("text", "key_text"):
        yield from (
            f"entry {record.entry.id[:8]}, {column}: {place}" for place in private(getattr(record.entry, column))
        )


def _texts(folder: Path) -> list[Path]:
    files = (*folder.rglob("*.json"), *folder.rglob("*.jinja"), *folder.rglob("*.md"))
    return sorted(file for file in files if file.name not in _WORDS)


def _in_file(file: Path, folder: Path) -> Iterator[str]:
    yield from (f"{file.relative_to(folder)}: {place}" for place in private(file.read_text()))


def _refuse(places: Sequence[str], remedy: str) -> None:
    if places:
        more = [f"and {len(places) - _PLACES_TOLD} more"] if len(places) > _PLACES_TOLD else []
        told = "\n".join([*places[:_PLACES_TOLD], *more])
        raise DataError(f"nothing was published, since it would tell what is private:\n{told}\nRemedy: {remedy}")


def push(folder: Path, prefix: str, api: HfApi, *, public: bool = False) -> list[str]:
    """Upload to OWNER/NAME-actor, -extractor and -bank (a dataset); returns their addresses. New ones are private unless `public`.

    Raises the hub's errors; what is there already is replaced file by file, so it can be repeated.
    """
    addresses = []
    for part in (*ROLES, "bank"):
        kind = "dataset" if part == "bank" else "model"
        made = api.create_repo(f"{prefix}-{part}", repo_type=kind, private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=made.repo_id, repo_type=kind, folder_path=folder / part, commit_message="Publish by crl"
        )
        addresses.append(str(made))
    return addresses
