"""The k nearest rows of one view: a cheap upper bound for every row, exact scores for the few that can matter.

1. Upper bounds of all scores [B, rows], from int8 codes or from float32 products, and their maxima over blocks.
2. The best row of each of the k best blocks is scored exactly. The lowest of these k scores is a floor: the
   k best rows lie above it.
3. Rows whose bound reaches the floor are scored exactly, which is about 3 k rows of 20,000 with int8.

Exact scores are float64 products, each computed alone, so neither batch mates nor row positions nor threads nor
the way to the bounds can change a result. Equal to six decimals is a tie, which the newer row wins.
"""

import numpy as np
import torch

from crl.bank.coarse import encoded
from crl.bank.view import View

BLOCK = 32  # rows whose maximum stands for them
CHUNK = 320 * BLOCK  # rows per matrix product and thread; 2 of them cover the paper's 20,000
CROWD_SHARE = 1 / 16  # of the rows: scoring more of them exactly costs more than float32 products of all
TIE_DECIMALS = 6  # coarser than the noise of embedding a text in another batch (about 1e-7)

Ranked = tuple[list[int], list[float]]  # rows and their scores, best first


class Bounds:
    """Upper bounds of the scores of one batch of unit queries [B, D] against one view."""

    def __init__(self, view: View, queries: np.ndarray, *, coarse: bool) -> None:
        self.view, self.coarse = view, coarse
        self.queries = np.ascontiguousarray(queries, np.float32)
        blocks = -(-view.rows // BLOCK)
        self.upper = np.empty((len(queries), blocks * BLOCK), np.float32)
        self.upper[:, view.rows :] = -np.inf
        self.maxima = np.empty((len(queries), blocks), np.float32)
        # float32 products and sums of unit vectors, in any order, are off by less than this.
        self.rounding = (view.vectors.shape[1] + 16) * 2.0**-24
        self.slack_B = np.full(len(queries), self.rounding)  # added to what `upper` holds it is an upper bound
        if coarse:
            codes = encoded(self.queries)
            self._values, self._scales = torch.from_numpy(codes.values), torch.from_numpy(codes.scales)[:, None]
            self.slack_B += codes.losses * (1 + view.losses.max(initial=0.0))

    def fill(self, start: int) -> None:
        """The bounds of the rows [start, start + CHUNK), and their blocks' maxima."""
        stop = min(start + CHUNK, self.view.rows)
        out = torch.from_numpy(self.upper)[:, start:stop]
        if self.coarse:
            view, rows = self.view, slice(start, stop)
            products = torch._int_mm(self._values, torch.from_numpy(view.values[rows]).T)
            torch.mul(products, torch.from_numpy(view.scales[rows]), out=out)
            torch.addcmul(torch.from_numpy(view.losses[rows]), out, self._scales, out=out)
        else:
            torch.mm(torch.from_numpy(self.queries), torch.from_numpy(self.view.vectors[start:stop]).T, out=out)
            dead = self.view.dead
            self.upper[:, dead[(dead >= start) & (dead < stop)]] = -np.inf
        blocks = slice(start // BLOCK, -(-stop // BLOCK))
        padded = torch.from_numpy(self.upper)[:, blocks.start * BLOCK : blocks.stop * BLOCK]
        torch.amax(padded.unflatten(1, (-1, BLOCK)), dim=2, out=torch.from_numpy(self.maxima)[:, blocks])

    def best(self, k: int) -> list[Ranked | None]:
        """The k best live rows of each query, after all is filled; None where coarse bounds leave too many open."""
        k = min(k, self.view.alive)
        if k == 0:
            return [([], []) for _ in self.queries]
        crowd = k + CROWD_SHARE * self.view.rows if self.coarse else self.view.rows
        queries = self.queries.astype(np.float64)
        return [
            self._ranked(query, rows, k) if len(rows) <= crowd else None
            for query, rows in zip(queries, self._reaching(self._floor(k)), strict=True)
        ]

    def _floor(self, k: int) -> np.ndarray:
        """Bounds [B, 1] that the k best rows of each query reach, and few others."""
        rows_BK = self._promising(k)
        scores_BK = np.vecdot(self.view.vectors[rows_BK], self.queries[:, None])
        scores_BK[np.take_along_axis(self.upper, rows_BK, axis=1) == -np.inf] = -np.inf
        floor_B = scores_BK.min(axis=1) - self.rounding - 10.0**-TIE_DECIMALS - self.slack_B
        # Rounded down, and never as low as what is deleted.
        return np.nextafter(np.maximum(floor_B, -4).astype(np.float32), np.float32(-5))[:, None]

    def _promising(self, k: int) -> np.ndarray:
        """k rows [B, k] that are likely among the best."""
        if self.maxima.shape[1] < 2 * k:
            return torch.topk(torch.from_numpy(self.upper), k, dim=1, sorted=False).indices.numpy()
        blocks_BK = torch.topk(torch.from_numpy(self.maxima), k, dim=1, sorted=False).indices.numpy()
        bounds = self._blocks()[np.arange(len(blocks_BK))[:, None], blocks_BK]
        return np.minimum(blocks_BK * BLOCK + bounds.argmax(axis=2), self.view.rows - 1)

    def _reaching(self, floor_B: np.ndarray) -> list[np.ndarray]:
        """For each query the rows whose bound reaches its floor, oldest first."""
        query_P, block_P = np.nonzero(self.maxima >= floor_B)
        at, inside = np.nonzero(self._blocks()[query_P, block_P] >= floor_B[query_P])
        rows = block_P[at] * BLOCK + inside
        return np.split(rows, np.searchsorted(query_P[at], np.arange(1, len(floor_B))))

    def _blocks(self) -> np.ndarray:
        return self.upper.reshape(len(self.upper), -1, BLOCK)

    def _ranked(self, query: np.ndarray, rows: np.ndarray, k: int) -> Ranked:
        """The k best of a query's candidates: by exact score, then newest first."""
        exact = np.vecdot(self.view.vectors[rows].astype(np.float64), query).round(TIE_DECIMALS)
        best = np.lexsort((-rows, -exact))[:k]
        return rows[best].tolist(), exact[best].tolist()
