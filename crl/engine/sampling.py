"""Sampling: one uniform number per (request, token), then the inverse of the cumulative distribution.

The number comes from a counter-based hash, so that a token depends on its request and its logits
only: never on batch mates, on their number, or on a generator's state. (Logits themselves vary in
the last bits with the shape of the batch; a draw that falls into that gap may differ.)
"""

from collections.abc import Sequence

import numpy as np
import torch

from crl.engine.protocol import Sampling
from crl.errors import EngineError

_GOLDEN = 0x9E3779B97F4A7C15
_MASK_64 = (1 << 64) - 1
_HEAD = 512  # tokens that are looked at first for top-p


def uniforms(seeds: Sequence[int], counters: Sequence[int]) -> np.ndarray:
    """[B] float64 in [0, 1): splitmix64 of each (seed, counter), 52 bits of it.

    52 bits, so that `u * total` stays below `total` after rounding and the inverse always exists.
    """
    seed_B = np.array([seed & _MASK_64 for seed in seeds], dtype=np.uint64)
    counter_B = np.array(counters, dtype=np.uint64) + np.uint64(1)
    bits_B = _mix(_mix(seed_B) + counter_B * np.uint64(_GOLDEN))  # wraps modulo 2^64 on purpose
    return (bits_B >> np.uint64(12)).astype(np.float64) * 2.0**-52


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def sample(
    logits_BV: torch.Tensor,
    samplings: Sequence[Sampling],
    counters: Sequence[int],
    never_N: torch.Tensor | None = None,
    among: Sequence[Sequence[int] | None] | None = None,
) -> tuple[list[int], list[float]]:
    """One token per row and its log-prob, each row by its own `Sampling` and token index.

    Log-probs are of softmax(logits / temperature) before top-k / top-p; greedy rows use temperature 1. The ids `never_N`
    (int64) are never sampled, as if left out by top-k. A row with ids in `among` [B] is drawn among these: its softmax, and
    what top-k and top-p see, is that of their logits alone.
    """
    device = logits_BV.device
    # In place where no caller's tensor is met: at 32 x 49,152 each copy takes as long as a third of the exponentials.
    scaled_BV = logits_BV.to(torch.float64, copy=True)
    temperatures = [s.temperature or 1.0 for s in samplings]
    if any(t != 1.0 for t in temperatures):
        scaled_BV /= torch.tensor(temperatures, dtype=torch.float64, device=device)[:, None]
    if among is not None:
        scaled_BV = _only(scaled_BV, among)
    highest_B1 = scaled_BV.amax(dim=-1, keepdim=True)
    weights_BV = (scaled_BV - highest_B1).exp_()
    total_B1 = weights_BV.sum(dim=-1, keepdim=True)
    if not torch.isfinite(total_B1).all():
        raise EngineError("the model gave logits that are not finite. Remedy: check the weights that were loaded last")

    if never_N is not None:
        weights_BV.index_fill_(1, never_N, 0.0)
    cumulative_BV = _truncate(weights_BV, samplings).cumsum(dim=-1)
    uniform_B1 = torch.from_numpy(uniforms([s.seed for s in samplings], counters)).to(device)[:, None]
    token_B1 = torch.searchsorted(cumulative_BV, uniform_B1 * cumulative_BV[:, -1:], right=True)
    if any(s.temperature == 0 for s in samplings):
        greedy_B1 = torch.tensor([s.temperature == 0 for s in samplings], device=device)[:, None]
        allowed_BV = scaled_BV if never_N is None else scaled_BV.index_fill(1, never_N, -torch.inf)
        token_B1 = torch.where(greedy_B1, allowed_BV.argmax(dim=-1, keepdim=True), token_B1)

    logprob_B = (scaled_BV.gather(-1, token_B1) - highest_B1 - total_B1.log()).squeeze(-1)
    return token_B1.squeeze(-1).tolist(), logprob_B.tolist()


def _only(scaled_BV: torch.Tensor, among: Sequence[Sequence[int] | None]) -> torch.Tensor:
    """The logits, at minus infinity for what a row with ids in `among` may not say."""
    rows = [row for row, ids in enumerate(among) if ids]
    widest = max(len(among[row]) for row in rows)
    padded = [(*among[row], *among[row][:1] * (widest - len(among[row]))) for row in rows]
    ids_RK = torch.tensor(padded, device=scaled_BV.device)
    index_R = torch.tensor(rows, device=scaled_BV.device)
    own_RV = scaled_BV[index_R]
    only_RV = torch.full_like(own_RV, -torch.inf).scatter_(1, ids_RK, own_RV.gather(1, ids_RK))
    return scaled_BV.index_copy(0, index_R, only_RV)


def _truncate(weights_BV: torch.Tensor, samplings: Sequence[Sampling]) -> torch.Tensor:
    """Zero what top-k, then top-p, exclude; of equal weights the lower id stays. Only rows that ask for it are looked at."""
    vocabulary = weights_BV.shape[1]
    rows = [i for i, s in enumerate(samplings) if s.temperature and (0 < s.top_k < vocabulary or s.top_p < 1)]
    if not rows:
        return weights_BV
    top_k = [min(samplings[i].top_k or vocabulary, vocabulary) for i in rows]
    top_k_R1 = torch.tensor(top_k, device=weights_BV.device)[:, None]
    top_p_R1 = torch.tensor([samplings[i].top_p for i in rows], dtype=torch.float64, device=weights_BV.device)[:, None]
    weights_RV = weights_BV[rows]
    # A few hundred tokens mostly decide, and cost a fifteenth of a sort of all.
    size = min(max(_HEAD, *(k for k in top_k if k < vocabulary), 0), vocabulary)
    head_RN, count_R1 = _kept(weights_RV, size, top_k_R1, top_p_R1)
    if ((count_R1 == size) & (top_k_R1 > size)).any():
        head_RN, count_R1 = _kept(weights_RV, vocabulary, top_k_R1, top_p_R1)
    least_R1 = head_RN.gather(-1, count_R1 - 1)
    above_RV, equal_RV = weights_RV > least_R1, weights_RV == least_R1
    room_R1 = count_R1 - above_RV.sum(dim=-1, keepdim=True)
    kept_BV = weights_BV.clone()
    kept_BV[rows] = weights_RV * (above_RV | (equal_RV & (equal_RV.cumsum(dim=-1) <= room_R1)))
    return kept_BV


def _kept(
    weights_RV: torch.Tensor, size: int, top_k_R1: torch.Tensor, top_p_R1: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The `size` largest weights, descending, and how many of them stay, as far as these can tell."""
    head_RN = weights_RV.topk(size).values
    ranked_RN = torch.arange(size, device=head_RN.device) < top_k_R1
    all_R1 = weights_RV.sum(dim=-1, keepdim=True)
    total_R1 = torch.where(top_k_R1 > size, all_R1, (head_RN * ranked_RN).sum(dim=-1, keepdim=True))
    before_RN = head_RN.cumsum(dim=-1) - head_RN
    within_p_RN = (before_RN < top_p_R1 * total_R1) | (top_p_R1 >= 1)  # the token that crosses p stays
    return head_RN, (ranked_RN & within_p_RN).sum(dim=-1, keepdim=True).clamp(min=1)
