"""The read side of a bank for nodes that hold no ledger: searched, ranked and shown from Weaviate alone.

It sees what the writer's process wrote last. An entry and the one that replaced it may be on the server together for the
instant of a write; the replaced one is then left out. Equal scores: the later round first.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from crl.bank.index import Hit
from crl.bank.nearest import TIE_DECIMALS
from crl.bank.records import Shown
from crl.bank.reports import Usage
from crl.bank.weaviate.client import FAULTS
from crl.bank.weaviate.index import CALLERS, SPARE
from crl.bank.weaviate.link import Link, open_link
from crl.config.addresses import WeaviateAddress
from crl.config.learn import BankConfig
from crl.errors import BankError

T = TypeVar("T")
PATIENCE_S = 120.0  # with a server that is away: it starts in 10 s and is repaired by the writer


class WeaviateReader:
    """A `ReadSide` for many threads. Showings are counted here and kept in `shown`, for whoever owns the ledger."""

    def __init__(
        self, address: WeaviateAddress, config: BankConfig, tenant: str, *, patience_s: float = PATIENCE_S
    ) -> None:
        """`tenant` is the run's lineage. Raises BankError when the server cannot be reached."""
        self.shown: list[Shown] = []
        self._config, self._patience_s = config.weaviate, patience_s
        self._open = lambda: open_link(address, config.weaviate, Path(tempfile.gettempdir()), tenant)
        self._link: Link = self._open()
        self._reopening = threading.Lock()
        self._pool = ThreadPoolExecutor(CALLERS, "weaviate-reader")
        self._usages: dict[str, Usage] = {}

    def search(
        self, queries: Mapping[str, np.ndarray], k: int, texts: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, list[list[Hit]]]:
        """For each scope and unit query row [B, D]: the k nearest entries, best first; hybrid where texts are given.

        Raises BankError when the server stays away for longer than the patience.
        """
        words = texts if self._config.hybrid_alpha is not None else None
        jobs = [
            (scope, query, k, words[scope][row] if words else None)
            for scope, batch in queries.items()
            for row, query in enumerate(batch)
        ]
        found = iter(list(self._pool.map(lambda job: self._patiently(lambda link: self._one(link, *job)), jobs)))
        return {scope: [next(found) for _ in batch] for scope, batch in queries.items()}

    def _one(self, link: Link, scope: str, query: np.ndarray, k: int, text: str | None) -> list[Hit]:
        found = link.tenant.entries(scope, query, k + SPARE, text, self._config.hybrid_alpha)
        replaced = {parent for hit, _ in found for parent in hit.entry.parents}
        hits = [
            (hit if text else Hit(hit.entry, _score(vector, query)))
            for hit, vector in found
            if hit.entry.id not in replaced
        ]
        for hit in hits:
            self._note(hit)
        if not text:
            hits.sort(key=lambda hit: (-hit.score, -hit.entry.origin.round, hit.entry.id))
        return hits[:k]

    def _note(self, hit: Hit) -> None:
        """The counters that came along, unless this process has counted further."""
        known = self._usages.get(hit.entry.id)
        if known is None or known.shown < hit.entry.shown:
            last_s = known.last_s if known else float("-inf")
            self._usages[hit.entry.id] = Usage(hit.entry.shown, hit.entry.last_shown_round, last_s)

    def usage(self, entry_id: str) -> Usage:
        return self._usages.get(entry_id, Usage())

    def count_shown(self, rows: Sequence[Shown]) -> None:
        now_s = time.monotonic()
        for row in rows:
            old = self.usage(row.entry_id)
            self._usages[row.entry_id] = Usage(old.shown + 1, max(old.last_round, row.round), now_s)
        self.shown += rows

    def flush(self) -> None:
        """Nothing is written here: `shown` goes to the ledger's owner."""

    def close(self) -> None:
        self._pool.shutdown()
        self._link.close()

    def _patiently(self, ask: Callable[[Link], T]) -> T:
        """Ask again, over a new connection, while the server is away."""
        deadline = time.monotonic() + self._patience_s
        while True:
            link = self._link
            try:
                return ask(link)
            except FAULTS as error:
                if time.monotonic() > deadline:
                    raise BankError(
                        f"Weaviate did not answer for {self._patience_s:g} s ({error}). Remedy: start it again; the run's "
                        "writer repairs it"
                    ) from None
            time.sleep(self._config.retry_s)
            self._reopen(link)

    def _reopen(self, lost: Link) -> None:
        with self._reopening:
            if self._link is lost:  # else another thread was first
                try:
                    self._link = self._open()
                except FAULTS:
                    return  # asked again until the deadline
                lost.close()


def _score(vector: np.ndarray, query: np.ndarray) -> float:
    return float(np.dot(vector.astype(np.float64), query.astype(np.float64)).round(TIE_DECIMALS))
