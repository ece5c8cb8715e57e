"""The nearest rows of a table, exactly: products in bfloat16 or float32 rule out what cannot matter, float64 decides.

A product in bfloat16 takes half of the time, where the processor has them, and is off by less than a bound. Where that leaves
too many rows, since keys lie closer together (as those of one small game do), float32 products follow.

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
HALF = 2.0**-8  # what rounding to bfloat16 takes from a number at most, as a share of it
CROWD_SHARE = 1 / 16  # of the rows: scoring more of them exactly costs more than float32 products of all
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
    # Float32 products and sums of unit vectors, in any order, are off by less than this.
    rounding = (queries.shape[1] + 16) * 2.0**-24
    if view.is_halved:
        error = (2 + HALF) * HALF + rounding  # both vectors were rounded: |x q - x' q'| <= |x - x'| |q| + |x'| |q - q'|
        pairs = _reaching(_scores(view, view.halves, queries, in_parallel), k, error, HALF)
        if len(pairs[0]) <= len(queries) * (k + CROWD_SHARE * view.rows):
            return pairs
    return _reaching(_scores(view, torch.from_numpy(view.vectors), queries, in_parallel), k, rounding, 0.0)


def _scores(view: View, stored: torch.Tensor, queries: np.ndarray, in_parallel: InParallel) -> torch.Tensor:
    """Products [R, B] of the stored vectors, in whole blocks, by their own type; minus infinity for what is not there."""
    rows = -(-view.rows // BLOCK) * BLOCK
    scores_RB = torch.empty((rows, len(queries)), dtype=stored.dtype)
    queries_DB = torch.from_numpy(queries).to(stored.dtype).T
    chunks = [slice(start, min(start + CHUNK, rows)) for start in range(0, rows, CHUNK)]
    in_parallel([partial(torch.mm, stored[chunk], queries_DB, out=scores_RB[chunk]) for chunk in chunks])
    scores_RB[view.rows :] = -torch.inf
    scores_RB[torch.from_numpy(view.dead)] = -torch.inf
    return scores_RB.float()


def _reaching(scores_RB: torch.Tensor, k: int, error: float, share: float) -> tuple[np.ndarray, np.ndarray]:
    """The pairs that may be among a query's k best. Scores are off by at most `error`, then rounded by a share of themselves."""
    rows, queries = scores_RB.shape
    # Each block stands for one row, where that leaves enough: a table is compacted before half of its blocks are empty.
    best = scores_RB.unflatten(0, (-1, BLOCK)).amax(dim=1) if rows >= 2 * k * BLOCK else scores_RB
    kth_B = np.partition(best.numpy(), -k, axis=0)[-k]
    slack_B = 2 * (error + share * (np.abs(kth_B) + 4 * error)) + 10.0**-TIE_DECIMALS  # 4: more than all smaller terms
    reached = scores_RB.numpy() >= (kth_B - slack_B).astype(np.float32)
    return np.divmod(np.flatnonzero(reached), queries)
