"""Weaviate behind the ledger: `WeaviateIndex` finds on the server what the ledger's resident copy then ranks exactly.

A write reaches the server before it returns, so readers read their own writes. The order is: new objects to the server,
the change in the resident copy (which decides what counts), old objects off the server. When the server is lost, reads
go on from the copy, writes wait in the ledger, and a thread tries until the server is back and repaired.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from crl.bank.index import Hit
from crl.bank.weaviate.client import FAULTS, one_line
from crl.bank.weaviate.link import Link
from crl.bank.weaviate.objects import Counters, uuid_of
from crl.bank.weaviate.repair import Differences, differences, repair
from crl.bank.weaviate.resident import Resident
from crl.bank.weaviate.tenant import Item, Tenant
from crl.config.servers import WeaviateConfig
from crl.errors import BankError
from crl.types import Experience

log = logging.getLogger(__name__)
CALLERS = 16  # queries on their way to the server at once
SPARE = 8  # candidates beyond k: what leaves the bank while the server searches costs no hit
CROWD = 8  # times more candidates where the first ones do not decide; past that the resident copy does
HYBRID_TRIES = 5  # a hybrid ranking is the server's own: overtaken by a write, it is asked for again

Rows = Mapping[str, Sequence[tuple[Experience, np.ndarray]]]


class WeaviateIndex:
    """The `RemoteIndex` on a Weaviate server. One writer at a time (the bank's lock); any number of readers."""

    def __init__(
        self, open_link: Callable[[], Link], config: WeaviateConfig, dim: int, *, tenant: str, families: Mapping[str, str]
    ) -> None:  # fmt: skip
        """`families` names the environment family of each task. Raises BankError or DataError: no usable server."""
        self._open_link, self._config, self._name, self._families = open_link, config, tenant, families
        self._uuid = partial(uuid_of, tenant)
        self.resident = Resident(dim, self._uuid)
        self._counters: dict[str, Counters] = {}
        self._writing, self._state = threading.Lock(), threading.Lock()
        self._missed: set[uuid.UUID] = set()  # touched since a repair last looked at everything
        self._pool = ThreadPoolExecutor(CALLERS, "weaviate")
        self._closed, self._mender = threading.Event(), None
        self._tally = dict.fromkeys(("lost", "repaired", "resident"), 0)
        self._busy_s = 0.0
        self._lost_at_s = 0.0
        self._link: Link | None = open_link()  # None: the server is lost

    # -- writing ------------------------------------------------------------------------------------------

    def commit(self, scope: str, add: Sequence[tuple[Experience, np.ndarray]], remove: Sequence[str]) -> None:
        with self._writing:
            items = [self._item(entry, vector) for entry, vector in add]
            gone = [self._uuid(entry_id) for entry_id in remove]
            self._tell(lambda tenant: tenant.put(items))
            self.resident.commit(scope, add, remove)
            self._tell(lambda tenant: tenant.delete(gone))
            self._missed.update([item.id for item in items], gone)

    def load(self, rows: Rows) -> None:
        """The copy at once; the server is compared with it, and repaired where they differ."""
        with self._writing:
            self.resident.load(rows)
            self._missed.update(self.resident.ids())
            self._tell(self._repair)

    def recount(self, counters: Mapping[str, tuple[int, int, int, int]]) -> None:
        """Take over the counters of entries, also of such that are yet to be loaded; writes those that changed."""
        with self._writing:
            changed = [id_ for id_, values in counters.items() if self._counters.get(id_, Counters()) != values]
            self._counters = {id_: Counters(*values) for id_, values in counters.items()}
            ids = list(map(self._uuid, changed))
            self._missed.update(ids)
            self._tell(lambda tenant: tenant.put(self._items(ids)))

    def _tell(self, write: Callable[[Tenant], object]) -> None:
        """Write to the server; a server that fails is lost, and what it missed will be repaired."""
        link, began = self._link, time.perf_counter()
        if link is None:
            return
        try:
            write(link.tenant)
        except FAULTS as error:
            self._lose(link, error)
        self._busy_s += time.perf_counter() - began

    def _item(self, entry: Experience, vector: np.ndarray) -> Item:
        family = self._families.get(entry.task, "")
        return Item(self._uuid(entry.id), entry, vector, family, self._counters.get(entry.id, Counters()))

    def _items(self, ids: Sequence[uuid.UUID]) -> list[Item]:
        return [self._item(entry, vector) for entry, vector in self.resident.live(ids).values()]

    # -- reading ------------------------------------------------------------------------------------------

    def search(
        self, queries: Mapping[str, np.ndarray], k: int, texts: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, list[list[Hit]]]:
        """As `Index.search`. With `texts` [B per scope] and bank.weaviate.hybrid_alpha: by keywords, too."""
        link, began = self._link, time.perf_counter()
        asked = {scope: batch for scope, batch in queries.items() if len(batch) and self.resident.index.count(scope)}
        if link is not None and asked:
            try:
                if texts is not None and self._config.hybrid_alpha is not None:
                    hits = self._hybrid(link.tenant, asked, texts, k)
                else:
                    hits = self._nearest(link.tenant, asked, k)
                self._busy_s += time.perf_counter() - began
                return {scope: [[] for _ in batch] for scope, batch in queries.items()} | hits
            except FAULTS as error:
                self._lose(link, error)
        self._tally["resident"] += sum(map(len, asked.values()))
        return self.resident.index.search(queries, k)

    def _nearest(self, tenant: Tenant, asked: Mapping[str, np.ndarray], k: int) -> dict[str, list[list[Hit]]]:
        hits: dict[tuple[str, int], list[Hit]] = {}
        open_ = [(scope, row) for scope, batch in asked.items() for row in range(len(batch))]
        for limit in (k + SPARE, CROWD * (k + SPARE)):
            since = self.resident.generation
            jobs = [(scope, asked[scope][row], limit) for scope, row in open_]
            found = dict(zip(open_, self._pool.map(lambda job: tenant.nearest(*job), jobs), strict=True))
            for scope in dict.fromkeys(scope for scope, _ in open_):
                rows = [row for of, row in open_ if of == scope]
                ids = [found[scope, row] for row in rows]
                ranked = self.resident.ranked(scope, asked[scope][rows], ids, k, limit, since)
                hits |= {(scope, row): best for row, best in zip(rows, ranked, strict=True) if best is not None}
            open_ = [key for key in open_ if key not in hits]
        self._tally["resident"] += len(open_)
        for scope, row in open_:
            hits[scope, row] = self.resident.index.search({scope: asked[scope][row : row + 1]}, k)[scope][0]
        return {scope: [hits[scope, row] for row in range(len(batch))] for scope, batch in asked.items()}

    def _hybrid(
        self, tenant: Tenant, asked: Mapping[str, np.ndarray], texts: Mapping[str, Sequence[str]], k: int
    ) -> dict[str, list[list[Hit]]]:
        alpha = self._config.hybrid_alpha
        jobs = [(s, query, text) for s, batch in asked.items() for query, text in zip(batch, texts[s], strict=True)]
        for _ in range(HYBRID_TRIES):
            since = self.resident.generation
            found = iter(list(self._pool.map(lambda job: tenant.hybrid(*job, alpha, k + SPARE), jobs)))
            hits = {scope: [self._known(next(found))[:k] for _ in batch] for scope, batch in asked.items()}
            if self.resident.generation == since:
                return hits
        return self._nearest(tenant, asked, k)

    def _known(self, found: Sequence[tuple[uuid.UUID, float]]) -> list[Hit]:
        entries = self.resident.entries([id_ for id_, _ in found])
        return [Hit(entry, score) for entry, (_, score) in zip(entries, found, strict=True) if entry is not None]

    def scopes(self) -> tuple[str, ...]:
        return self.resident.index.scopes()

    def count(self, scope: str) -> int:
        return self.resident.index.count(scope)

    def vector(self, entry_id: str) -> np.ndarray:
        return self.resident.index.vector(entry_id)

    def oldest_first(self, scope: str) -> Iterator[Experience]:
        return self.resident.index.oldest_first(scope)

    def within(self, scope: str, key: np.ndarray, least: float) -> list[Experience]:
        return self.resident.index.within(scope, key, least)

    def table(self, scope: str) -> tuple[tuple[Experience, ...], np.ndarray]:
        return self.resident.index.table(scope)

    # -- a lost server ------------------------------------------------------------------------------------

    @property
    def serving(self) -> bool:
        """Whether the server answers; else reads come from the resident copy."""
        return self._link is not None

    def expect(self, rows: Rows, counters: Mapping[str, tuple[int, int, int, int]]) -> None:
        """Take over entries and counters and write nothing: for `differences` and `repair`."""
        self._counters = {id_: Counters(*values) for id_, values in counters.items()}
        self.resident.load(rows)

    def differences(self) -> Differences:
        """Between the server and the copy. Raises BankError when the server is lost or fails."""
        return self._asked(lambda tenant: differences(tenant, self.resident.ids(), self._items))

    def repair(self) -> Differences:
        """Make the server hold what the copy holds, now. Raises BankError when the server is lost or fails."""
        with self._writing:
            return self._asked(self._repair)

    def _asked(self, ask: Callable[[Tenant], Differences]) -> Differences:
        if self._link is None:
            raise BankError(f"tenant {self._name}: Weaviate is lost. Remedy: start it; it is repaired by itself")
        try:
            return ask(self._link.tenant)
        except FAULTS as error:
            raise BankError(f"tenant {self._name}: {one_line(error)}. Remedy: see the server's log") from None

    def _lose(self, link: Link, error: BaseException) -> None:
        with self._state:
            if self._link is not link or self._closed.is_set():
                return  # another thread was first
            self._link, self._lost_at_s = None, time.monotonic()
            self._tally["lost"] += 1
            self._mender = threading.Thread(target=self._mend, args=(link,), name="weaviate-repair", daemon=True)
            self._mender.start()
        log.warning(
            "Weaviate is lost: %s. Reads go on from the ledger's copy; tried again every %g s",
            one_line(error), self._config.retry_s,
        )  # fmt: skip

    def _mend(self, lost: Link) -> None:
        told = ""
        self._closed.wait(self._config.retry_s)
        lost.close()  # not at once: calls of other threads are still failing on it
        while not self._closed.is_set():
            if link := self._reached():
                try:
                    self._rejoin(link)
                    return
                except FAULTS as error:
                    link.close()
                    if str(error) != told:
                        log.warning("Weaviate answers but could not be repaired: %s", error)
                        told = str(error)
            self._closed.wait(self._config.retry_s)

    def _reached(self) -> Link | None:
        try:
            return self._open_link()
        except FAULTS:
            return None  # still away, as was told

    def _rejoin(self, link: Link) -> None:
        """Repair beside the writer; what it changed meanwhile follows while it waits."""
        with self._writing:
            self._missed.clear()
        self._repair(link.tenant)
        with self._writing:
            missed = list(self._missed)
            items = self._items(missed)
            link.tenant.put(items)
            link.tenant.delete(list(set(missed) - {item.id for item in items}))
            self._link = link
        log.warning("Weaviate is back and repaired, lost for %.1f s", time.monotonic() - self._lost_at_s)

    def _repair(self, tenant: Tenant) -> Differences:
        done = repair(tenant, self.resident.ids(), self._items)
        self._tally["repaired"] += done.total
        if done.total:
            log.info("Weaviate repaired: %d added, %d refreshed, %d deleted", *done)
        return done

    def metrics(self) -> dict[str, float]:
        """Whether the server is lost now, and what happened since the last call."""
        tally, self._tally = self._tally, dict.fromkeys(self._tally, 0)
        busy_s, self._busy_s = self._busy_s, 0.0
        rows = {"bank/index_down": float(not self.serving), "bank/index_s": busy_s}
        return rows | {f"bank/index_{name}": float(count) for name, count in tally.items()}

    def close(self) -> None:
        self._closed.set()
        if self._mender is not None:
            self._mender.join(self._config.timeout_s)
        self._pool.shutdown()
        if self._link is not None:
            self._link.close()
