"""The nearest rows of a table, exactly: float32 products rule out what cannot matter, float64 decides.

Exact scores are float64 products, each computed alone, so neither batch mates nor row positions nor threads can change a
result. Equal to six decimals is a tie, which the newer row wins.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from crl.bank.records import Hit
from crl.bank.table import View

BLOCK = 32  # rows whose best score stands for them; divides every capacity
CHUNK = 320 * BLOCK  # rows per matrix product and thread; 2 of them cover the paper's 20,000
SLAB = 256  # pairs that are scored exactly at once: what they take fits into a core's cache, however many tie
TIE_DECIMALS = 6  # coarser than the noise of embedding a text in another batch (about 1e-7)

InParallel = Callable[[Sequence[Callable[[], object]]], object]  # does all jobs, in whatever order
_hit = partial(tuple.__new__, Hit)  # a third of the time of Hit(...), for 512 of them in a batch


def nearest(view: View, queries: np.ndarray, k: int, in_parallel: InParallel) -> list[list[Hit]]:
    """For each of the unit queries (float32 [B, D]) the k nearest live entries, best first."""
    k = min(k, view.alive)
    if k == 0 or len(queries) == 0:
        return [[] for _ in queries]
    row_C, query_C = _candidates(view, queries, k, in_parallel)
    exact_C = np.empty(len(row_C))
    for start in range(0, len(row_C), SLAB):
        slab = slice(start, start + SLAB)
        exact_C[slab] = np.vecdot(view.vectors[row_C[slab]], queries[query_C[slab]], dtype=np.float64)
    exact_C = exact_C.round(TIE_DECIMALS)
    order = np.lexsort((-row_C, -exact_C, query_C))
    best_BK = order[np.searchsorted(query_C[order], np.arange(len(queries)))[:, None] + np.arange(k)]
    found = zip(row_C[best_BK].tolist(), exact_C[best_BK].tolist(), strict=True)
    return [list(map(_hit, zip(map(view.entries.__getitem__, rows), scores, strict=True))) for rows, scores in found]


def _candidates(view: View, queries: np.ndarray, k: int, in_parallel: InParallel) -> tuple[np.ndarray, np.ndarray]:
    """Rows [C] and the queries [C] for which they matter: of each query at least the k best, and what ties with them."""
    rows = -(-view.rows // BLOCK) * BLOCK
    scores_RB = np.empty((rows, len(queries)), np.float32)
    vectors, queries_DB = torch.from_numpy(view.vectors[:rows]), torch.from_numpy(queries).T
    chunks = [slice(start, start + CHUNK) for start in range(0, rows, CHUNK)]
    out = torch.from_numpy(scores_RB)
    in_parallel([partial(torch.mm, vectors[chunk], queries_DB, out=out[chunk]) for chunk in chunks])
    scores_RB[view.rows :] = -np.inf
    scores_RB[view.dead] = -np.inf
    # Each block stands for one row, where that leaves enough: a table is compacted before half of its blocks are empty.
    best = scores_RB.reshape(-1, BLOCK, len(queries)).max(axis=1) if rows >= 2 * k * BLOCK else scores_RB
    kth_B = np.partition(best, -k, axis=0)[-k]
    # Float32 products and sums of unit vectors, in any order, are off by less than this.
    rounding = (view.vectors.shape[1] + 16) * 2.0**-24
    reached = scores_RB >= kth_B - np.float32(2 * rounding + 10.0**-TIE_DECIMALS)
    return np.divmod(np.flatnonzero(reached), len(queries))
