"""A bank snapshot as a retriever reads it: nothing is written, nothing is counted, and what is known is used.

Training explores: among equally similar entries the newest goes first, so that its effect becomes known. A
snapshot serves evaluation, which exploits: the best measured effect goes first, and past use costs nothing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from crl.bank.effect import EntryEffect
from crl.bank.index import EmbeddedIndex, Hit
from crl.bank.records import Shown
from crl.bank.reports import Usage
from crl.bank.snapshot import FILE_NAME
from crl.errors import DataError
from crl.types import Experience, Origin


class FrozenBank:
    """The read side of `Bank`, from `bank.parquet`: what evaluation and serving retrieve from."""

    def __init__(self, folder: Path, embedder: str) -> None:
        """Raises DataError when there is no snapshot or another embedder made its keys."""
        file = folder / FILE_NAME
        if not file.is_file():
            raise DataError(f"{file}: missing. Remedy: run the stage co_evolve (`dvc repro co_evolve`)")
        table = pq.read_table(file)
        made_by = (table.schema.metadata or {}).get(b"crl.bank.embedder", b"").decode()
        if made_by != embedder:
            raise DataError(
                f"{file}: keys of embedder {made_by!r}, not {embedder!r}. Remedy: set models.embedder to it"
            )
        # The index prefers later rows among equals.
        rows = sorted(table.to_pylist(), key=lambda row: (row["task"], _shrunk_effect(row), row["age_rank"]))
        self._index = EmbeddedIndex(table.schema.field("vector").type.list_size)
        self._entries = len(rows)
        tables: dict[str, list[tuple[Experience, np.ndarray]]] = {}
        for row in rows:
            tables.setdefault(row["task"], []).append((experience_of(row), np.array(row["vector"], np.float32)))
        self._index.load(tables)

    def __len__(self) -> int:
        return self._entries

    def search(
        self, queries: Mapping[str, np.ndarray], k: int, texts: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, list[list[Hit]]]:
        return self._index.search(queries, k)

    def usage(self, entry_id: str) -> Usage:
        return Usage()

    def count_shown(self, rows: Sequence[Shown]) -> None:
        raise DataError(f"{len(rows)} showings: a snapshot counts nothing. Remedy: retrieve with a negative round")

    def flush(self) -> None:
        """Nothing is ever pending."""


def _shrunk_effect(row: dict) -> float:
    """0 where nothing was measured: better than harm, worse than help."""
    if not row["effect_groups"]:
        return 0.0
    return EntryEffect(row["effect"], None, None, row["effect_groups"], row["effect_episodes"]).shrunk


def experience_of(row: dict) -> Experience:
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
