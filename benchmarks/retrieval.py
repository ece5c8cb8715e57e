"""Retrieval from the run's own index and, as nodes do it, from a Weaviate server, while a writer writes: latency and recall.

The retrievals, their vectors and the writer are those of `benchmarks.bank`. One bank is searched both ways in turn; its
projector keeps the server up to date. The server is started for this on free ports, with the settings that `make servers`
uses, and ends with it. Rows for 1 k, 20 k and 200 k entries and for 1 and 32 callers:

    embedded_p50_*, embedded_p99_*   ms, against one multiplication per query in threads, as in `benchmarks.bank`
    weaviate_p50_*, weaviate_p99_*   ms, against the embedded index
    embedded_recall_*, weaviate_recall_*   share of the 16 truly nearest entries that are found, against 1
    weaviate_crowd_recall_*          share of 200 different keys found by themselves beside so many identical ones, against 1

Recall is taken right after the latencies, of the entries that the writer left, once the projector has caught up.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from crl.bank.bank import Bank
from crl.bank.changes import entry_id
from crl.bank.projector import Projector
from crl.bank.records import ReadSide
from crl.bank.stores import NodeReader
from crl.bank.stores.weaviate import WeaviateStore
from crl.bank.weaviate import serve
from crl.config.addresses import WeaviateAddress
from crl.config.bank import BankConfig
from crl.config.servers import ServersConfig, WeaviateConfig
from crl.errors import RunStopped
from flows.local.process import Launch, free_port, spawn

ENTRIES = (1_000, 20_000, 200_000)
QUERIES, QUERIES_OF_ONE = 1_600, 400  # per measurement: of many callers together, and of a single one
RECALL_QUERIES = 128
DIFFERENT = 200  # keys beside a crowd of identical ones
CATCH_UP_S = 1_800.0
SAME = 1e-5  # of a score: far above float32's noise, far below the distance of two random neighbours


def run(repeats: int, entries: Sequence[int] = ENTRIES) -> list[Row]:
    rows = []
    for size in entries:
        with tempfile.TemporaryDirectory() as folder, weaviate_server(Path(folder)) as server:
            vectors = Vectors(size)
            bank = filled_bank(Path(folder) / "bank", vectors, follow(server, "random"))
            caught_up(bank, server, "random")
            reader = server("random").reader()
            for callers in CALLERS:
                rows += latency_rows(bank, reader, vectors, callers, repeats)
            caught_up(bank, server, "random")
            rows += [recall_row("embedded", bank, bank, vectors), recall_row("weaviate", reader, bank, vectors)]
            reader.close()
            bank.close()
            rows.append(crowd_row(Path(folder), server, size))
    return rows


@contextmanager
def weaviate_server(folder: Path) -> Iterator[Callable[[str], WeaviateStore]]:
    """A server of its own; gives what makes the store of a run on it."""
    folder = folder / "server"
    address = WeaviateAddress("127.0.0.1", free_port(), free_port(), secure=False)
    argv, environment = serve.command(serve.binary(), folder, port=address.port, grpc_port=address.grpc_port)
    launch = Launch(argv, environment, wait_s=serve.READY_S)
    running = spawn("weaviate", launch, folder=folder, port=address.port, health=serve.READY_PATH)
    config = BankConfig(index="weaviate", weaviate=WeaviateConfig(timeout_s=60.0))
    servers = ServersConfig(weaviate=f"{address.url}?grpc={address.grpc_port}")
    try:
        yield lambda run_id: WeaviateStore(config, servers, run_id=run_id, folder=folder)
    finally:
        running.stop()


def follow(server: Callable[[str], WeaviateStore], run_id: str) -> Callable[[Path], Projector]:
    store = server(run_id)
    return lambda folder: Projector(folder, store, {})


def caught_up(bank: Bank, server: Callable[[str], WeaviateStore], run_id: str) -> None:
    """Wait until the server says that it has seen the bank's last event."""
    tenant, deadline = server(run_id).sink(), time.monotonic() + CATCH_UP_S
    while tenant.mark() != bank.ledger.mark(bank.position):
        if time.monotonic() > deadline:
            raise RunStopped(f"the projector is not up to date after {CATCH_UP_S:g} s. Remedy: see the server's log")
        time.sleep(0.1)
    tenant.close()


def latency_rows(bank: Bank, reader: NodeReader, vectors: Vectors, callers: int, repeats: int) -> list[Row]:
    queries = QUERIES_OF_ONE if callers == 1 else QUERIES
    figures = percentiles(
        {
            "embedded": lambda: bank_latencies(bank, vectors, callers, queries),
            "weaviate": lambda: bank_latencies(bank, vectors, callers, queries, reader),
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


def recall_row(side: str, searched: ReadSide, bank: Bank, vectors: Vectors) -> Row:
    """The share of the exactly nearest entries among those that are found, with nobody writing."""
    queries = vectors.queries[:RECALL_QUERIES]
    found = searched.search({"task": queries}, CANDIDATES)["task"]
    keys = np.stack([record.vector for record in bank.ledger.records()])
    last = np.partition(queries @ keys.T, -CANDIDATES, axis=1)[:, -CANDIDATES]
    true = sum(hit.score >= least - SAME for hits, least in zip(found, last, strict=True) for hit in hits)
    name = f"{side}_recall_{size_label(len(vectors.keys))}"
    return row(name, [true / (CANDIDATES * len(queries))], [1.0], unit="share")


def crowd_row(folder: Path, server: Callable[[str], WeaviateStore], size: int) -> Row:
    vectors = Vectors(size)
    vectors.keys = np.concatenate([np.repeat(vectors.keys[:1], size, axis=0), Vectors(DIFFERENT).keys])
    bank = filled_bank(folder / "crowd", vectors, follow(server, "crowd"))
    caught_up(bank, server, "crowd")
    reader = server("crowd").reader()
    found = reader.search({"task": vectors.keys[size:]}, 1)["task"]
    ids = [entry_id("benchmark", "task", f"advice {size + number}") for number in range(DIFFERENT)]
    true = sum(hits[0].entry.id == id_ for hits, id_ in zip(found, ids, strict=True))
    reader.close()
    bank.close()
    return row(f"weaviate_crowd_recall_{size_label(size)}", [true / DIFFERENT], [1.0], unit="share")


def size_label(entries: int) -> str:
    return f"{entries // 1000}k" if entries % 1000 == 0 else str(entries)
