"""Retrieval latency of the experience bank while a writer adds up to 100 entries a second.

    python -m benchmarks.bank [--json FILE]

Tables of 1 k, 20 k and 200 k entries with random unit keys (384 dimensions, as MiniLM's); 1 and 32 callers, each
asking for its next query as soon as it has its answer. A caller gets the whole service: batching, search,
diversity re-ranking, counting. Meanwhile a thread adds (and so evicts) entries, each durably, and rests 10 ms after
each: fifty to a hundred times what the paper's run distils.
Queries lie near random entries. Their vectors are made beforehand, so embedding time is not in here: it is the
embedder's, 9 ms a text for MiniLM on one core, and cached by text.

The baseline has no bank: as many threads, each multiplying the matrix with one query at a time and selecting
16, with nobody writing. Rows: p50 and p99 of the latency in milliseconds. One caller runs with
`batch_wait_ms = 0`, since there is nobody to wait for.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # both sides use a thread per core by themselves

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import Row, main, measure_interleaved, row
from crl.bank.bank import Bank
from crl.bank.changes import entry_id
from crl.bank.projector import Projector
from crl.bank.records import Change, Keyed, Kind, ReadSide
from crl.bank.retrieval import Retriever
from crl.config.bank import BankConfig, EffectConfig
from crl.config.play import RetrievalConfig
from crl.seeding import stream
from crl.types import Completion, Experience, Operation, OperationKind, Origin

DIM, CANDIDATES, NOISE = 384, 16, 0.3
SIZES = {"1k": 1_000, "20k": 20_000, "200k": 200_000}
CALLERS = (1, 32)
WRITES_PER_S = 100
QUERIES = {"1k": 6_400, "20k": 3_200, "200k": 640}  # per measurement, shared by the callers


class Vectors:
    """Stands for an embedder: the text is the number of a vector made beforehand."""

    name, dim = "vectors", DIM

    def __init__(self, entries: int) -> None:
        rng = stream(7, "benchmark-bank", entries)
        self.keys = _unit(rng.standard_normal((entries, DIM), dtype=np.float32))
        near = self.keys[rng.integers(entries, size=2048)]
        self.queries = _unit(near + NOISE / DIM**0.5 * rng.standard_normal(near.shape, dtype=np.float32))

    def embed(self, texts: Sequence[str], *, one_by_one: bool = False) -> np.ndarray:
        return self.queries[[int(text) for text in texts]]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def filled_bank(folder: Path, vectors: Vectors, follow: Callable[[Path], Projector] | None = None) -> Bank:
    entries = len(vectors.keys)
    # No clusters: these texts say nothing, and `Vectors` embeds situations alone.
    config = BankConfig(capacity=entries, effect=EffectConfig(pooling="scope"))
    bank = Bank(folder, config, vectors, run_id="benchmark", seed=7, follow=follow)
    origin = Origin("seed", "", 0, "seed")
    keyed = [
        Keyed(
            Experience(entry_id("benchmark", "task", f"advice {i}"), "task", f"advice {i}", f"situation {i}", origin),
            vector,
        )
        for i, vector in enumerate(vectors.keys)
    ]
    with bank._writing():
        bank._editor.commit([Change(Kind.ADD, 0, "task", added=tuple(keyed))])
    return bank


@contextmanager
def writer(bank: Bank):
    """Adds one entry after the other, with rests, until the block ends."""
    stop, prefix = threading.Event(), time.time_ns()

    def write() -> None:
        number = 0
        while not stop.wait(1 / WRITES_PER_S):
            id_ = f"{prefix}.{number}"
            done = Completion(id_, (1,) * 200, (2,) * 50, (-0.5,) * 50, "text", "stop", 0)
            operations = [Operation(OperationKind.ADD, f"advice {id_}")]
            bank.apply(operations, scope="task", key_text=str(number % 2048), origin=Origin(id_, "", 0, "distil"),
                       completion=done)  # fmt: skip
            number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def bank_latencies(
    bank: Bank, vectors: Vectors, callers: int, queries: int, read_side: ReadSide | None = None
) -> np.ndarray:
    """Milliseconds of each retrieval, from the bank or from another read side of it, while the bank is written to."""
    took: list[float] = []

    async def ask_all() -> None:
        config = RetrievalConfig(candidates=CANDIDATES, batch_wait_ms=0.0 if callers == 1 else 5.0)
        retriever = Retriever(read_side or bank, config, vectors, seed=7)

        async def caller(number: int) -> None:
            for i in range(number, queries, callers):
                started = time.perf_counter()
                await retriever.retrieve("task", str(i % 2048), key=str(i), round=1)
                took.append(time.perf_counter() - started)

        await asyncio.gather(*(caller(number) for number in range(callers)))
        await retriever.drain()
        retriever.close()

    with writer(bank):
        asyncio.run(ask_all())
    return np.array(took) * 1000


def brute_force_latencies(vectors: Vectors, callers: int, queries: int) -> np.ndarray:
    """The same queries, one matrix-vector product each; numpy lets the interpreter go meanwhile."""

    def caller(number: int) -> list[float]:
        took = []
        for i in range(number, queries, callers):
            started = time.perf_counter()
            scores = vectors.keys @ vectors.queries[i % 2048]
            best = np.argpartition(scores, -CANDIDATES)[-CANDIDATES:]
            best[np.argsort(-scores[best])]
            took.append(time.perf_counter() - started)
        return took

    with ThreadPoolExecutor(callers) as pool:
        return np.concatenate(list(pool.map(caller, range(callers)))) * 1000


def run(repeats: int) -> list[Row]:
    torch.set_num_threads(1)
    rows = []
    for size, entries in SIZES.items():
        vectors = Vectors(entries)
        with tempfile.TemporaryDirectory() as folder:
            bank = filled_bank(Path(folder), vectors)
            for callers in CALLERS:
                rows += measured(bank, vectors, size, callers, repeats)
            bank.close()
    return rows


def measured(bank: Bank, vectors: Vectors, size: str, callers: int, repeats: int) -> list[Row]:
    """Two rows: both percentiles come from the same retrievals."""
    queries = QUERIES[size] // (4 if callers == 1 else 1)
    figures = percentiles(
        {
            "bank": lambda: bank_latencies(bank, vectors, callers, queries),
            "brute": lambda: brute_force_latencies(vectors, callers, queries),
        },
        repeats,
    )
    return [
        row(f"{name}_{size}_{callers_label(callers)}", sides["bank"], sides["brute"], unit="ms")
        for name, sides in figures.items()
    ]


def percentiles(sides: Mapping[str, Callable[[], np.ndarray]], repeats: int) -> dict[str, dict[str, list[float]]]:
    """p50 and p99 of each side's latencies, one figure per repeat; the sides take turns."""
    samples: dict[str, list[np.ndarray]] = {name: [] for name in sides}

    def side(name: str, latencies: Callable[[], np.ndarray]) -> float:
        samples[name].append(latencies())
        return float(np.percentile(samples[name][-1], 99))

    p99 = measure_interleaved({name: partial(side, name, latencies) for name, latencies in sides.items()}, repeats)
    p50 = {name: [float(np.median(sample)) for sample in kept[-repeats:]] for name, kept in samples.items()}
    return {"p50": p50, "p99": p99}


def callers_label(callers: int) -> str:
    return f"{callers}_caller{'s' if callers > 1 else ''}"


if __name__ == "__main__":
    main("bank: retrieval while a writer writes", run)
