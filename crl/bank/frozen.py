"""A bank snapshot as a retriever reads it: nothing is written, nothing is counted, and what is known is used.

Training explores: among equally similar entries the newest goes first, so that its effect becomes known. A
snapshot serves evaluation, which exploits: the best measured effect goes first, and past use costs nothing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from crl.bank.effect import EntryEffect
from crl.bank.records import Shown
from crl.bank.reports import Hit, Usage
from crl.bank.snapshot import FILE_NAME, loaded
from crl.errors import DataError


class FrozenBank:
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
