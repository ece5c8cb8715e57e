"""A bank snapshot as training reads it on another machine: the newest of equals first, showings counted on the spot.

`FrozenBank` serves evaluation and ranks by measured effect; this one explores as the bank itself does. Its counts
steer its own retrievals; the bank hears of them from whoever takes `shown`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from crl.bank.records import Shown
from crl.bank.reports import Hit, Usage
from crl.bank.snapshot import loaded

_NEVER = Usage()


class SnapshotReader:
    """The read side of `Bank` over the bytes of a `bank.parquet`. Raises DataError for another embedder's keys."""

    def __init__(self, snapshot: bytes, embedder: str) -> None:
        self.shown: list[Shown] = []  # in the order of the retrievals
        self._index, rows = loaded(
            pa.BufferReader(snapshot), embedder, preferred_last=lambda row: row["age_rank"], name="the bank's snapshot"
        )
        self._usage = {row["id"]: Usage(row["shown"], row["last_shown_round"]) for row in rows}

    def search(
        self, queries: Mapping[str, np.ndarray], k: int, texts: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, list[list[Hit]]]:
        """As `Bank.search` on the embedded index, which knows vectors only."""
        return self._index.search(queries, k)

    def usage(self, entry_id: str) -> Usage:
        return self._usage.get(entry_id, _NEVER)

    def count_shown(self, rows: Sequence[Shown]) -> None:
        for row in rows:
            self._usage[row.entry_id] = self.usage(row.entry_id).after(row)
        self.shown += rows

    def flush(self) -> None:
        """Nothing is ever pending."""

    def close(self) -> None:
        """Nothing is held open."""
