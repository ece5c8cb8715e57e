"""The read side of a bank for nodes that hold no ledger: searched, ranked and shown from Weaviate alone.

It finds what the embedded index finds in what the run's projector has written, in the same order: exact scores, and of
equally near entries the one that was written last. For the instant of a write an entry and the one that replaced it can
both be found.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from crl.bank.nearest import TIE_DECIMALS
from crl.bank.records import Hit, Usage
from crl.bank.stores import NodeReader
from crl.bank.weaviate.client import FAULTS
from crl.bank.weaviate.tenant import Found, Tenant
from crl.config.servers import WeaviateConfig
from crl.errors import ConfigError, DataError, RetrievalError

T = TypeVar("T")
PATIENCE_S = 120.0  # with a server that is away: it starts in 10 s, and the run's projector catches up
CALLERS = 16  # queries on their way to the server at once
SPARE = 8  # candidates beyond k: they tell a crowd of equals at the k-th place
SERVER_NOISE = 2e-6  # of a score: the server ranks by float32 products


class WeaviateReader(NodeReader):
    """For many threads."""

    def __init__(
        self, open_tenant: Callable[[], Tenant], config: WeaviateConfig, *, patience_s: float = PATIENCE_S
    ) -> None:
        """Raises RetrievalError when the server stays away for longer than the patience, DataError: see `prepared`."""
        super().__init__()
        self._open, self._config, self._patience_s = open_tenant, config, patience_s
        self._tenants: list[
            Tenant
        ] = []  # the last one is in use; other threads may still be failing on those before it
        self._opening = threading.Lock()
        self._pool = ThreadPoolExecutor(CALLERS, "weaviate-reader")
        self._patiently(lambda tenant: None)  # the server may be away when a shard begins, too

    def search(
        self, queries: Mapping[str, np.ndarray], k: int, texts: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, list[list[Hit]]]:
        """For each scope and unit query row [B, D]: the k nearest entries, best first; hybrid where texts are given.

        Raises RetrievalError when the server stays away for longer than the patience.
        """
        alpha = self._config.hybrid_alpha

        def one(job: tuple[str, int, np.ndarray]) -> list[Hit]:
            scope, row, query = job
            if texts is None or alpha is None:
                return self._patiently(lambda tenant: _nearest(tenant, scope, query, k))
            return self._patiently(lambda tenant: _hybrid(tenant, scope, query, texts[scope][row], alpha, k))

        jobs = [(scope, row, query) for scope, batch in queries.items() for row, query in enumerate(batch)]
        found = list(self._pool.map(one, jobs))
        for hit in (hit for hits in found for hit in hits):
            self._note(hit)
        answers = iter(found)
        return {scope: [next(answers) for _ in batch] for scope, batch in queries.items()}

    def _note(self, hit: Hit) -> None:
        """The counters that came along, unless this process has counted further."""
        known = self.usage(hit.entry.id)
        if known.shown < hit.entry.shown:
            self.usages[hit.entry.id] = Usage(hit.entry.shown, hit.entry.last_shown_round, known.last_s)

    def close(self) -> None:
        self._pool.shutdown()
        for tenant in self._tenants:
            tenant.close()

    def _patiently(self, ask: Callable[[Tenant], T]) -> T:
        """Ask; again, over a new connection, while the server is away."""
        deadline, tenant = time.monotonic() + self._patience_s, None
        while True:
            try:
                tenant = self._other_than(tenant)
                return ask(tenant)
            except FAULTS as error:
                if not self._tenants and isinstance(error, ConfigError | DataError):
                    raise  # patience would not help
                if time.monotonic() > deadline:
                    raise RetrievalError(
                        f"Weaviate did not answer for {self._patience_s:g} s ({error}). Remedy: start it again; the run's "
                        "projector brings it up to date"
                    ) from None
            time.sleep(self._config.retry_s)

    def _other_than(self, failed: Tenant | None) -> Tenant:
        """The connection in use, unless it is the one that failed: then a new one."""
        with self._opening:
            if not self._tenants or self._tenants[-1] is failed:
                self._tenants.append(self._open())
            return self._tenants[-1]


def _nearest(tenant: Tenant, scope: str, query: np.ndarray, k: int) -> list[Hit]:
    limit = k + SPARE
    found = tenant.nearest(scope, query, limit)
    scores = [_score(item, query) for item in found]
    if len(found) == limit and min(scores) > (edge := sorted(scores)[-k]) - SERVER_NOISE:
        # More are as near as the k-th than were asked for: tasks repeat their situations exactly. The newest count.
        crowded = (item.vector for item, score in zip(found, scores, strict=True) if score <= edge + SERVER_NOISE)
        for key in {vector.tobytes(): vector for vector in crowded}.values():
            found += tenant.newest(scope, key, limit)
    once = {item.entry.id: item for item in found}.values()
    ranked = sorted(once, key=lambda item: (-_score(item, query), -item.number))
    return [Hit(item.entry, _score(item, query)) for item in ranked[:k]]


def _hybrid(tenant: Tenant, scope: str, query: np.ndarray, text: str, alpha: float, k: int) -> list[Hit]:
    """In the order of the server, which weighs words and vectors."""
    return [Hit(item.entry, item.score) for item in tenant.hybrid(scope, query, text, alpha, k)]


def _score(item: Found, query: np.ndarray) -> float:
    return float(np.dot(item.vector.astype(np.float64), query.astype(np.float64)).round(TIE_DECIMALS))
