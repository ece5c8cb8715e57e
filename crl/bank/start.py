"""A bank that a run starts from: a snapshot, kept under the digest of its content for all checkouts of this machine.

    crl bank import SOURCE ─► CRL_BANKS/<digest>.parquet ─► bank.start: <digest> ─► the run's first events

It may be anybody's: its rows are checked as a file's are, its texts are screened as a model's are, and what it says of effects
is a prior (`posterior.with_earlier`), never evidence.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from crl.bank.effect import Beliefs
from crl.bank.records import Record
from crl.bank.snapshot import read_records, table_of, write_table
from crl.config import Config
from crl.errors import ConfigError, DataError
from crl.files import digest_file

_NAME_CHARS, _SITUATION_CHARS = 200, 100_000  # far above ours
_FAULTS_TOLD = 5


def shelf() -> Path:
    """Where imported banks stand, one file each."""
    return Path(os.environ.get("CRL_BANKS") or "~/.cache/crl/banks").expanduser()


@dataclass(frozen=True)
class Foreign:
    """What another bank holds: entries, the oldest first, what was believed of them, and the embedder of their keys."""

    records: Sequence[Record]
    known: Beliefs
    embedder: str

    def __post_init__(self) -> None:
        """Raises DataError for rows that no bank of ours could have written."""
        faults = [fault for record in self.records for fault in _faults(record, self.known)]
        if len({record.entry.id for record in self.records}) < len(self.records):
            faults.append("two rows have one id")
        if faults:
            more = f" and {len(faults) - _FAULTS_TOLD} more" if len(faults) > _FAULTS_TOLD else ""
            raise DataError(
                f"not a bank's entries: {'; '.join(faults[:_FAULTS_TOLD])}{more}. Remedy: a file that `crl publish` or `crl bank "
                "export` wrote, unaltered"
            )

    def of_tasks(self, names: Mapping[str, str]) -> "Foreign":
        """The entries of some scopes alone, each under the name that is given for it. Raises ConfigError for one without any."""
        if absent := names.keys() - {record.entry.task for record in self.records}:
            raise ConfigError(
                f"--task {', '.join(sorted(absent))}: the bank has no entries of it. Remedy: {self.scopes}"
            )
        kept = [record for record in self.records if record.entry.task in names]
        renamed = [replace(each, entry=replace(each.entry, task=names[each.entry.task])) for each in kept]
        return Foreign(renamed, self.known, self.embedder)

    @property
    def scopes(self) -> str:
        return ", ".join(sorted({record.entry.task for record in self.records})) or "none"

    def check(self, config: Config, embedder: str, dim: int) -> None:
        """Raises ConfigError where a run with these parameters could not start from it; `embedder`: the run's, by name."""
        if not self.records:
            raise ConfigError("bank.start: the bank holds no entries. Remedy: bank.start=null")
        if (theirs := (self.embedder, len(self.records[0].vector))) != (embedder, dim):
            raise ConfigError(
                f"bank.start: keys of embedder {theirs[0]!r} ({theirs[1]} numbers each), and this run's are of {embedder!r} "
                f"({dim}). Remedy: models.embedder = the bank's"
            )
        ours = set(map(config.bank.scope_of, config.tasks.mix))
        if strangers := sorted({record.entry.task for record in self.records} - ours):
            raise ConfigError(
                f"bank.start: entries of {', '.join(strangers)}, and this run's are of {', '.join(sorted(ours))}. Remedy: crl bank "
                "import SOURCE --task NAME takes one task's alone, --task NAME=OURS under another name"
            )

    def keep(self) -> str:
        """Put it on the shelf; returns its digest, the value of `bank.start`."""
        shelf().mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=shelf(), prefix=".") as scratch:
            file = Path(scratch) / "bank.parquet"
            write_table(table_of(self.records, self.known, self.embedder), file)
            digest = digest_file(file)
            file.replace(shelf() / f"{digest}.parquet")
        return digest


def start_of(config: Config, embedder: str, dim: int) -> Foreign | None:
    """The bank that `bank.start` names; None where a run starts from an empty one. Raises ConfigError, DataError."""
    if (digest := config.bank.start) is None:
        return None
    file = shelf() / f"{digest}.parquet"
    if not file.is_file():
        raise ConfigError(
            f"bank.start = {digest}: not in {shelf()} (CRL_BANKS). Remedy: crl bank import SOURCE, the bank that has this digest"
        )
    if (found := digest_file(file)) != digest:
        raise DataError(
            f"{file}: its digest is {found}, so it was altered. Remedy: remove it, and import the bank again"
        )
    start = Foreign(*read_records(file))
    start.check(config, embedder, dim)
    return start


def _faults(record: Record, known: Beliefs) -> Iterator[str]:
    entry, belief = record.entry, known.belief(record.entry.id)
    place = f"entry {entry.id[:8]!a}"
    names = {
        "id": entry.id, "task": entry.task, "completion_id": entry.origin.completion_id, "episode": entry.origin.episode,
    }  # fmt: skip
    for column, name in names.items():
        if not name.isprintable() or len(name) > _NAME_CHARS:
            yield f"{place}: {column} is no name"
    if not (entry.task and entry.id and entry.key_text.strip()) or len(entry.key_text) > _SITUATION_CHARS:
        yield f"{place}: no id, task or key_text, or one past {_SITUATION_CHARS} characters"
    if not abs(float(np.linalg.norm(record.vector)) - 1) < 1e-3:
        yield f"{place}: its key is no unit vector"
    if not (abs(belief.mean) <= 1 and 0 < belief.sd <= 1):
        yield f"{place}: belief {belief.mean:g} (sd {belief.sd:g}) is none of a difference of success rates"
