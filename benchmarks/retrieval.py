"""Retrieval from the embedded index and from a Weaviate server, while a writer writes: latency and recall.

The retrievals, their vectors and the writer are those of `benchmarks.bank`; both banks are open at once and take turns.
The server is started for this on free ports, with the settings that `make servers` uses, and ends with it. Rows for 1 k,
20 k and 200 k entries and for 1 and 32 callers:

    embedded_p50_*, embedded_p99_*   ms, against one multiplication per query in threads, as in `benchmarks.bank`
    weaviate_p50_*, weaviate_p99_*   ms, against the embedded index
    embedded_recall_*, weaviate_recall_*   share of the 16 truly nearest entries that are found, against 1

Recall is taken right after the latencies, of the entries that the writer left. Random keys are the hardest case for
the server's graph: in 384 dimensions everything is about equally far from everything.
"""

import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.bank import (
    CALLERS,
    CANDIDATES,
    Vectors,
    bank_latencies,
    brute_force_latencies,
    callers_label,
    filled_bank,
    percentiles,
)
from benchmarks.common import Row, row
from crl.bank.backends import MakeIndex
from crl.bank.bank import Bank
from crl.config.addresses import WeaviateAddress
from crl.config.servers import WeaviateConfig
from flows.local.process import free_port, http_ok, spawn

ENTRIES = (1_000, 20_000, 200_000)
QUERIES, QUERIES_OF_ONE = 1_600, 400  # per measurement: of many callers together, and of a single one
RECALL_QUERIES = 128
SAME = 1e-5  # of a score: far above float32's noise, far below the distance of two random neighbours


def run(repeats: int, entries: Sequence[int] = ENTRIES) -> list[Row]:
    rows = []
    for size in entries:
        vectors = Vectors(size)
        with tempfile.TemporaryDirectory() as folder, weaviate_server(Path(folder)) as make_index:
            embedded = filled_bank(Path(folder) / "embedded", vectors)
            weaviate = filled_bank(Path(folder) / "weaviate", vectors, make_index)
            for callers in CALLERS:
                rows += latency_rows(embedded, weaviate, vectors, callers, repeats)
            rows += [recall_row("embedded", embedded, vectors), recall_row("weaviate", weaviate, vectors)]
            embedded.close()
            weaviate.close()
    return rows


@contextmanager
def weaviate_server(folder: Path) -> Iterator[MakeIndex]:
    """A server of its own; gives what makes an index on it."""
    from crl.bank.weaviate import serve
    from crl.bank.weaviate.index import WeaviateIndex  # a second to import
    from crl.bank.weaviate.link import open_link

    folder = folder / "server"
    address = WeaviateAddress("127.0.0.1", free_port(), free_port(), secure=False)
    argv, environment = serve.command(serve.binary(), folder, port=address.port, grpc_port=address.grpc_port)
    running = spawn(
        "weaviate",
        argv,
        environment=environment,
        folder=folder,
        url=address.url,
        health=partial(http_ok, address.url + serve.READY_PATH),
        wait_s=serve.READY_S,
    )
    tenant, config = f"benchmark{secrets.token_hex(4)}", WeaviateConfig(timeout_s=60.0)
    link = partial(open_link, address, config, folder, tenant)
    try:
        yield lambda dim: WeaviateIndex(link, config, dim, tenant=tenant, families={})
    finally:
        running.stop()


def latency_rows(embedded: Bank, weaviate: Bank, vectors: Vectors, callers: int, repeats: int) -> list[Row]:
    queries = QUERIES_OF_ONE if callers == 1 else QUERIES
    figures = percentiles(
        {
            "embedded": lambda: bank_latencies(embedded, vectors, callers, queries),
            "weaviate": lambda: bank_latencies(weaviate, vectors, callers, queries),
            "brute": lambda: brute_force_latencies(vectors, callers, queries),
        },
        repeats,
    )
    cell = f"{size_label(len(vectors.keys))}_{callers_label(callers)}"
    return [
        row(f"{side}_{name}_{cell}", sides[side], sides[baseline], unit="ms")
        for name, sides in figures.items()
        for side, baseline in (("embedded", "brute"), ("weaviate", "embedded"))
    ]


def recall_row(side: str, bank: Bank, vectors: Vectors) -> Row:
    return row(f"{side}_recall_{size_label(len(vectors.keys))}", [recall(bank, vectors)], [1.0], unit="share")


def recall(bank: Bank, vectors: Vectors) -> float:
    """The share of the exactly nearest entries among those that are found, with nobody writing."""
    queries = vectors.queries[:RECALL_QUERIES]
    found = bank.search({"task": queries}, CANDIDATES)["task"]
    _, keys = bank._store.index.table("task")
    scores = queries @ keys.T
    last = np.partition(scores, -CANDIDATES, axis=1)[:, -CANDIDATES]
    true = sum(hit.score >= least - SAME for hits, least in zip(found, last, strict=True) for hit in hits)
    return true / (CANDIDATES * len(queries))


def size_label(entries: int) -> str:
    return f"{entries // 1000}k" if entries % 1000 == 0 else str(entries)
