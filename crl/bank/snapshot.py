"""A bank as a Parquet file: sorted by id, the same content has the same bytes."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crl.bank.effect import Belief, Beliefs, EntryEffect
from crl.bank.records import Keyed, Record, State, entry_of, fields_of
from crl.errors import DataError
from crl.types import Experience

FILE_NAME = "bank.parquet"
FORMAT_VERSION = "3"


_TEXTS = ("id", "task", "text", "key_text", "completion_id", "episode")
_COLUMNS = pa.schema(
    [(name, pa.string()) for name in _TEXTS]
    + [("round", pa.int32()), ("purpose", pa.string()), ("parents", pa.list_(pa.string()))]
    + [(name, pa.int32()) for name in ("age_rank", "shown", "last_shown_round", "written")]
    + [(name, pa.float64()) for name in ("effect", "effect_low", "effect_high", "belief_mean", "belief_sd")]
    + [(name, pa.int32()) for name in ("effect_groups", "effect_episodes")]
)
_UNMEASURED = ("effect", "effect_low", "effect_high")  # empty for entries without a measurement


def table_of(entries: Sequence[Keyed | Record], known: Beliefs, embedder: str) -> pa.Table:
    """Entries, given with what was written last at the end, as a table sorted by id; `age_rank` keeps their order."""
    ranked = sorted(enumerate(entries), key=lambda pair: pair[1].entry.id)
    rows = [
        fields_of(keyed.entry) | {"age_rank": rank} | _known_fields(known, keyed.entry.id) for rank, keyed in ranked
    ]
    dim = len(ranked[0][1].vector) if ranked else 1
    floats = np.concatenate([np.empty(0, np.float32), *(keyed.vector for _, keyed in ranked)])
    table = pa.Table.from_pylist(rows, _COLUMNS).append_column(
        "vector", pa.FixedSizeListArray.from_arrays(pa.array(floats), dim)
    )
    return table.replace_schema_metadata({"crl.bank.format": FORMAT_VERSION, "crl.bank.embedder": embedder})


def _known_fields(known: Beliefs, entry_id: str) -> dict[str, float | None]:
    belief, effect = known.belief(entry_id), known.effect(entry_id)
    fields = {"belief_mean": belief.mean, "belief_sd": belief.sd, "effect_groups": 0, "effect_episodes": 0}
    if effect is not None:
        fields |= {
            "effect": effect.mean, "effect_low": effect.low, "effect_high": effect.high,
            "effect_groups": effect.groups, "effect_episodes": effect.episodes,
        }  # fmt: skip
    return fields


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


def read_table(source: Path | bytes, columns: Sequence[str] | None = None) -> tuple[pa.Table, str]:
    """The table, and whose embedder's its keys are. Raises DataError for a file of another kind."""
    name = "the bank's snapshot" if isinstance(source, bytes) else source
    try:
        table = pq.read_table(pa.BufferReader(source) if isinstance(source, bytes) else source, columns=columns)
    except pa.ArrowInvalid as error:
        raise DataError(f"{name}: damaged ({error}). Remedy: restore it, with DVC: `dvc checkout -f bank`") from None
    told = table.schema.metadata or {}
    if (found := told.get(b"crl.bank.format", b"none").decode()) != FORMAT_VERSION:
        raise DataError(
            f"{name}: a snapshot of format {found}, this version reads {FORMAT_VERSION}. Remedy: use the crl version that wrote "
            "it, or play the run again, dvc repro -f -s co_evolve"
        )
    for field in _COLUMNS:
        there = field.name in table.column_names and table.schema.field(field.name).type == field.type
        if not there or (field.name not in _UNMEASURED and table.column(field.name).null_count):
            raise DataError(
                f"{name}: column {field.name} is missing, of another type, or has gaps. Remedy: restore the file"
            )
    if columns is None:
        keys = table.column("vector") if "vector" in table.column_names else pa.array([None])
        if not pa.types.is_fixed_size_list(keys.type) or keys.null_count:
            raise DataError(f"{name}: column vector is missing, of another type, or has gaps. Remedy: restore the file")
    return table, told.get(b"crl.bank.embedder", b"").decode()


class Rows:
    """`Beliefs` of a snapshot's rows."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.beliefs = {row["id"]: Belief(row["belief_mean"], row["belief_sd"]) for row in rows}
        self.effects = {
            row["id"]: EntryEffect(
                row["effect"], row["effect_low"], row["effect_high"], row["belief_sd"], row["effect_groups"],
                row["effect_episodes"],
            )
            for row in rows if row["effect_groups"]
        }  # fmt: skip

    def effect(self, entry_id: str) -> EntryEffect | None:
        return self.effects.get(entry_id)

    def belief(self, entry_id: str) -> Belief:
        return self.beliefs[entry_id]


def read_records(file: Path) -> tuple[list[Record], Rows, str]:
    """The inverse of `table_of`: entries, what was written last at the end, what is known of them, and the keys' embedder."""
    table, embedder = read_table(file)
    rows = sorted(table.to_pylist(), key=itemgetter("age_rank"))
    unknown = {"created_seq": 0, "stands_since": 0, "used": 0, "successes": 0}
    records = [
        Record(entry_of(row), np.array(row["vector"], np.float32), State.LIVE, number=row["age_rank"], **unknown)
        for row in rows
    ]
    return records, Rows(rows), embedder


def read_entries(file: Path) -> tuple[list[Experience], Rows]:
    """Entries by id and what is known of them, without the keys, which are nearly all of a file."""
    rows = read_table(file, _COLUMNS.names)[0].to_pylist()
    return [entry_of(row) for row in rows], Rows(rows)
