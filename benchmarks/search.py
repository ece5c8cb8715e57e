"""The index's search beside other ways to the 16 nearest of 20,000 keys: time of a batch of 32 queries, and recall.

    python -m benchmarks.search [--repeats N] [--json FILE]

No service, no writer: `benchmarks.bank` measures those. The keys are those of `benchmarks.bank`. Every way may use all cores.
What gives approximate scores only, finds four times as many rows and scores them again in float64; the index alone proves
that none is missing, decides ties by age and takes deletions. Rows `NAME` are ms against the index's, rows `NAME_recall` the
share of the truly nearest that are found, against 1. The rows of faiss need `faiss-cpu`, which is no dependency:
`pip install --target FOLDER faiss-cpu==1.15.1` (65 MB), then PYTHONPATH=FOLDER.
"""

import os
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch

from benchmarks.bank import CANDIDATES, Vectors
from benchmarks.common import Row, main, measure_interleaved, row, seconds
from crl.bank.index import EmbeddedIndex
from crl.bank.records import Keyed
from crl.types import Experience, Origin

ENTRIES, BATCH, BATCHES = 20_000, 32, 16
WIDER = 4 * CANDIDATES  # rows that approximate scores must name
CORES = len(os.sched_getaffinity(0))

Search = Callable[
    [np.ndarray], np.ndarray
]  # unit queries [B, D] -> the rows [B, CANDIDATES] that it takes for the nearest


def own_index(keys: np.ndarray) -> Search:
    torch.set_num_threads(1)  # it has a thread per core by itself
    index, origin = EmbeddedIndex(keys.shape[1]), Origin("seed", "", 0, "seed")
    index.load(Keyed(Experience(str(row), "task", "", "", origin), key) for row, key in enumerate(keys))

    def search(queries: np.ndarray) -> np.ndarray:
        torch.set_num_threads(1)
        found = index.search({"task": queries}, CANDIDATES)["task"]
        return np.array([[int(hit.entry.id) for hit in hits] for hits in found])

    return search


def numpy_product(keys: np.ndarray) -> Search:
    """As it comes: float32, one product, partial sort."""

    def search(queries: np.ndarray) -> np.ndarray:
        return np.argpartition(queries @ keys.T, -CANDIDATES, axis=1)[:, -CANDIDATES:]

    return search


def torch_product(keys: np.ndarray, dtype: torch.dtype) -> Search:
    stored = torch.from_numpy(keys).to(dtype)

    def search(queries: np.ndarray) -> np.ndarray:
        torch.set_num_threads(CORES)
        scores = torch.mm(torch.from_numpy(queries).to(dtype), stored.T)
        return rescored(keys, queries, scores.topk(WIDER, dim=1, sorted=False).indices.numpy())

    return search


def int8_product(keys: np.ndarray) -> Search:
    """Codes with a scale per row."""

    def encoded(vectors: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        scales = np.abs(vectors).max(axis=1) / 127
        return torch.from_numpy(np.rint(vectors / scales[:, None]).astype(np.int8)), torch.from_numpy(scales)

    codes, scales = encoded(keys)

    def search(queries: np.ndarray) -> np.ndarray:
        torch.set_num_threads(CORES)
        scores = torch._int_mm(encoded(queries)[0], codes.T) * scales
        return rescored(keys, queries, scores.topk(WIDER, dim=1, sorted=False).indices.numpy())

    return search


def faiss_index(keys: np.ndarray, kind: str) -> Search:
    import faiss

    faiss.omp_set_num_threads(CORES)
    index = faiss.index_factory(keys.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    index.train(keys)
    index.add(keys)
    return lambda queries: rescored(keys, queries, index.search(queries, WIDER)[1])


def rescored(keys: np.ndarray, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The best of the rows [B, WIDER] by float64 scores."""
    scores = np.vecdot(keys[rows], queries[:, None], dtype=np.float64)
    best = np.argsort(-scores, axis=1)[:, :CANDIDATES]
    return np.take_along_axis(rows, best, axis=1)


WAYS: dict[str, Callable[[np.ndarray], Search]] = {
    "index": own_index,
    "numpy": numpy_product,
    "float32": partial(torch_product, dtype=torch.float32),
    "bfloat16": partial(torch_product, dtype=torch.bfloat16),
    "float16": partial(torch_product, dtype=torch.float16),
    "int8": int8_product,
}
FAISS = {"faiss_flat": "Flat", "faiss_int8": "SQ8", "faiss_float16": "SQfp16", "faiss_hnsw": "HNSW32"}


def run(repeats: int) -> list[Row]:
    return measured(Vectors(ENTRIES), repeats)


def measured(vectors: Vectors, repeats: int) -> list[Row]:
    batches = np.array_split(vectors.queries, len(vectors.queries) // BATCH)[:BATCHES]
    ways = {name: make(vectors.keys) for name, make in WAYS.items()}
    if find_spec("faiss"):
        ways |= {name: faiss_index(vectors.keys, kind) for name, kind in FAISS.items()}
    figures = measure_interleaved({name: partial(median_ms, way, batches) for name, way in ways.items()}, repeats)
    rows = [row(name, figures[name], figures["index"], unit="ms") for name in ways]
    return rows + [row(f"{name}_recall", [recall(way, vectors)], [1.0], unit="share") for name, way in ways.items()]


def median_ms(search: Search, batches: list[np.ndarray]) -> float:
    return 1000 * float(np.median([seconds(partial(search, batch)) for batch in batches]))


def recall(search: Search, vectors: Vectors) -> float:
    queries = vectors.queries[:128]
    true = np.argsort(-(queries.astype(np.float64) @ vectors.keys.T.astype(np.float64)), axis=1)[:, :CANDIDATES]
    return float(np.mean([np.isin(found, near).mean() for found, near in zip(search(queries), true, strict=True)]))


if __name__ == "__main__":
    main("search: the index beside other ways", run)
