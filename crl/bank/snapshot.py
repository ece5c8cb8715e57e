"""A bank as a Parquet file, and as it is read from one: sorted by id, the same content has the same bytes.

Two read sides, for two purposes. Training explores: among equally similar entries the newest goes first, so that its effect
becomes known, and showings count (`SnapshotReader`, on nodes). Evaluation and serving exploit: the best measured effect
goes first, past use costs nothing, and nothing is counted (`FrozenBank`).
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crl.bank.effect import EntryEffect
from crl.bank.index import EmbeddedIndex
from crl.bank.records import Hit, Keyed, Record, Shown, Usage
from crl.errors import DataError
from crl.types import Experience, Origin

FILE_NAME = "bank.parquet"
FORMAT_VERSION = "1"


def table_of(entries: Sequence[Keyed | Record], effects: Mapping[str, EntryEffect], embedder: str) -> pa.Table:
    """Entries, given oldest first, as a table sorted by id; `age_rank` keeps their order, event numbers stay out."""
    ranked = sorted(enumerate(entries), key=lambda pair: pair[1].entry.id)
    rows = [keyed.entry for _, keyed in ranked]
    measured = [effects.get(entry.id) for entry in rows]
    dim = len(ranked[0][1].vector) if ranked else 0
    vectors = np.stack([keyed.vector for _, keyed in ranked]).ravel() if ranked else np.empty(0, np.float32)
    columns = {
        "id": pa.array([entry.id for entry in rows], pa.string()),
        "task": pa.array([entry.task for entry in rows], pa.string()),
        "text": pa.array([entry.text for entry in rows], pa.string()),
        "key_text": pa.array([entry.key_text for entry in rows], pa.string()),
        "completion_id": pa.array([entry.origin.completion_id for entry in rows], pa.string()),
        "episode": pa.array([entry.origin.episode for entry in rows], pa.string()),
        "round": pa.array([entry.origin.round for entry in rows], pa.int32()),
        "purpose": pa.array([entry.origin.purpose for entry in rows], pa.string()),
        "parents": pa.array([list(entry.parents) for entry in rows], pa.list_(pa.string())),
        "age_rank": pa.array([rank for rank, _ in ranked], pa.int32()),
        "shown": pa.array([entry.shown for entry in rows], pa.int32()),
        "last_shown_round": pa.array([entry.last_shown_round for entry in rows], pa.int32()),
        "effect": pa.array([e and e.mean for e in measured], pa.float64()),
        "effect_low": pa.array([e and e.low for e in measured], pa.float64()),
        "effect_high": pa.array([e and e.high for e in measured], pa.float64()),
        "effect_groups": pa.array([e.groups if e else 0 for e in measured], pa.int32()),
        "effect_episodes": pa.array([e.episodes if e else 0 for e in measured], pa.int32()),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors, pa.float32()), dim or 1),
    }
    return pa.table(columns).replace_schema_metadata({"crl.bank.format": FORMAT_VERSION, "crl.bank.embedder": embedder})


def write_table(table: pa.Table, file: Path) -> str:
    """Write aside, rename into place; returns the file's SHA-256."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(file.name + ".part")
    # No dictionaries or statistics of floats: small gain here, and one thing less that a version may change.
    pq.write_table(table, aside, compression="zstd", use_dictionary=False, write_statistics=False, store_schema=True)
    with aside.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
        os.fsync(handle.fileno())
    aside.replace(file)
    return digest


def loaded(
    source: Path | pa.BufferReader, embedder: str, *, preferred_last: Callable[[dict[str, Any]], Any], name: str
) -> tuple[EmbeddedIndex, list[dict[str, Any]]]:
    """An index of a snapshot's entries, and its rows. Among equally similar entries the index finds the last first.

    Raises DataError when the keys are another embedder's; `name` is what the message calls the snapshot.
    """
    table = pq.read_table(source)
    made_by = (table.schema.metadata or {}).get(b"crl.bank.embedder", b"").decode()
    if made_by != embedder:
        raise DataError(f"{name}: keys of embedder {made_by!r}, not {embedder!r}. Remedy: set models.embedder to it")
    rows = sorted(table.to_pylist(), key=preferred_last)
    index = EmbeddedIndex(table.schema.field("vector").type.list_size)
    index.load(Keyed(_experience(row), np.array(row["vector"], np.float32)) for row in rows)
    return index, rows


def _experience(row: dict[str, Any]) -> Experience:
    origin = Origin(row["completion_id"], row["episode"], row["round"], row["purpose"])
    return Experience(
        row["id"],
        row["task"],
        row["text"],
        row["key_text"],
        origin,
        tuple(row["parents"]),
        row["shown"],
        row["last_shown_round"],
    )


class _Snapshot:
    """What both read sides share; the index knows vectors only."""

    _index: EmbeddedIndex

    def search(
        self, queries: Mapping[str, np.ndarray], k: int, texts: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, list[list[Hit]]]:
        """As `Bank.search`."""
        return self._index.search(queries, k)

    def flush(self) -> None:
        """Nothing is ever pending."""

    def close(self) -> None:
        """Nothing is held open."""


class FrozenBank(_Snapshot):
    """The read side of `Bank`, from `bank.parquet`: what evaluation and serving retrieve from."""

    def __init__(self, folder: Path, embedder: str) -> None:
        """Raises DataError when there is no snapshot or another embedder made its keys."""
        file = folder / FILE_NAME
        if not file.is_file():
            raise DataError(f"{file}: missing. Remedy: run the stage co_evolve (`dvc repro co_evolve`)")
        self._index, rows = loaded(
            file, embedder, preferred_last=lambda row: (_shrunk_effect(row), row["age_rank"]), name=str(file)
        )
        self._entries = len(rows)

    def __len__(self) -> int:
        return self._entries

    def usage(self, entry_id: str) -> Usage:
        return Usage()

    def count_shown(self, rows: Sequence[Shown]) -> None:
        raise DataError(f"{len(rows)} showings: a snapshot counts nothing. Remedy: retrieve with a negative round")


def _shrunk_effect(row: dict) -> float:
    """0 where nothing was measured: better than harm, worse than help."""
    if not row["effect_groups"]:
        return 0.0
    return EntryEffect(row["effect"], None, None, row["effect_groups"], row["effect_episodes"]).shrunk


class SnapshotReader(_Snapshot):
    """The read side of `Bank` over the bytes of a `bank.parquet`. Raises DataError for another embedder's keys."""

    def __init__(self, snapshot: bytes, embedder: str) -> None:
        self.shown: list[Shown] = []  # in the order of the retrievals
        self._index, rows = loaded(
            pa.BufferReader(snapshot), embedder, preferred_last=lambda row: row["age_rank"], name="the bank's snapshot"
        )
        self._usage = {row["id"]: Usage(row["shown"], row["last_shown_round"]) for row in rows}

    def usage(self, entry_id: str) -> Usage:
        return self._usage.get(entry_id, Usage())

    def count_shown(self, rows: Sequence[Shown]) -> None:
        for row in rows:
            self._usage[row.entry_id] = self.usage(row.entry_id).after(row)
        self.shown += rows
