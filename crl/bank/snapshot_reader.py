"""The two read sides of a snapshot, for two purposes.

Training explores: among equally similar entries the newest goes first, so that its effect becomes known, and showings count
(`SnapshotReader`, on nodes). Evaluation and serving exploit: among equally similar entries the one goes first that is believed
to be worth most, past use costs nothing, and nothing is counted (`FrozenBank`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crl.bank.index import EmbeddedIndex
from crl.bank.records import Hit, Keyed, Shown, Usage, entry_of
from crl.bank.snapshot import FILE_NAME, Rows, read_table
from crl.bank.stores import NodeReader
from crl.errors import DataError


class SnapshotReader(NodeReader):
    """The read side of `Bank` over a `bank.parquet`, a file or its bytes. Raises DataError for another embedder's keys."""

    def __init__(self, source: Path | bytes, embedder: str) -> None:
        super().__init__()
        table, made_by = read_table(source)
        if made_by != embedder:
            name = "the bank's snapshot" if isinstance(source, bytes) else source
            raise DataError(
                f"{name}: keys of embedder {made_by!r}, not {embedder!r}. Remedy: set models.embedder to it"
            )
        rows = sorted(table.to_pylist(), key=self._preference)
        self._index = EmbeddedIndex(table.schema.field("vector").type.list_size)
        self._index.load(Keyed(entry_of(row), np.array(row["vector"], np.float32)) for row in rows)
        self.usages = {row["id"]: Usage(row["shown"], row["last_shown_round"]) for row in rows}
        self.learn(Rows(rows).beliefs)

    def _preference(self, row: dict[str, Any]) -> Any:
        """Among equally similar entries the index finds the one first for which this is largest."""
        return row["age_rank"]

    def search(
        self, queries: Mapping[str, np.ndarray], k: int, texts: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, list[list[Hit]]]:
        return self._index.search(queries, k)


class FrozenBank(SnapshotReader):
    """The read side of `Bank`, from `bank.parquet`: what evaluation and serving retrieve from."""

    def __init__(self, folder: Path, embedder: str) -> None:
        """Raises DataError when there is no snapshot or another embedder made its keys."""
        file = folder / FILE_NAME
        if not file.is_file():
            raise DataError(f"{file}: missing. Remedy: run the stage co_evolve (`dvc repro co_evolve`)")
        super().__init__(file, embedder)
        self.usages = {}

    def _preference(self, row: dict[str, Any]) -> Any:
        return row["belief_mean"], row["age_rank"]

    def count_shown(self, rows: Sequence[Shown]) -> None:
        raise DataError(f"{len(rows)} showings: a snapshot counts nothing. Remedy: retrieve with a negative round")
