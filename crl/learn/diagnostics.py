"""How far the policy moved from the one that sampled, summed over micro-batches and workers.

Where the weights are still those that sampled, nothing has moved: what is left between the two log-probs is the
difference between the engine's arithmetic and the trainer's, the engine mismatch.
"""

import torch

from crl.learn.collate import MicroBatch
from crl.learn.objectives import k3_kl

SUMS = ("loss", "tokens", "sampled", "ratio", "clipped", "k1", "k3", "entropy", "reference_kl", "mismatch", "compared")
MAXIMA = ("ratio", "mismatch")


def token_sums(
    part: MicroBatch,
    loss: torch.Tensor,
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor,
    entropies: torch.Tensor,
    reference_kl: torch.Tensor | None,
    clip_range: tuple[float, float] | None,
) -> torch.Tensor:
    """One micro-batch's sums over its [M] tokens in the order of SUMS, then its MAXIMA: [13] float64.

    "sampled" are the tokens that have a ratio: means of ratios and divergences are over them. The others' is 1, by
    `old_logprobs` [M].
    """
    sampled = part.in_context.double()
    log_ratio = (logprobs - old_logprobs).detach().double()
    ratio = log_ratio.exp()
    low, high = clip_range or (0.0, float("inf"))
    zero = log_ratio.new_zeros(())
    mismatch = log_ratio.abs() * part.current
    parts = [
        loss.detach().double(),
        zero + len(ratio),
        sampled.sum(),
        (ratio * sampled).sum(),
        ((ratio < low) | (ratio > high)).double().sum(),
        -log_ratio.sum(),
        k3_kl(old_logprobs.double(), logprobs.detach().double()).sum(),
        entropies.double().sum(),
        zero if reference_kl is None else (reference_kl.detach().double() * sampled).sum(),
        mismatch.sum(),
        part.current.double().sum(),
        (ratio * sampled).max(),
        mismatch.max(),
    ]
    return torch.stack(parts) * part.live


def combine(rows: torch.Tensor) -> torch.Tensor:
    """[N, 13] of micro-batches or workers -> [13] of all of them."""
    return torch.cat([rows[:, : len(SUMS)].sum(0), rows[:, len(SUMS) :].max(0).values])


def summarise(totals: torch.Tensor, has_ratio: bool, has_reference: bool, compares: bool) -> dict[str, float]:
    """Means over the tokens of one optimiser step, from `token_sums` totals of all workers [13].

    With `compares`, the engine mismatch: over how many tokens, and where there are any its mean and maximum in nats.
    """
    *sums, ratio_max, mismatch_max = totals.tolist()
    named = dict(zip(SUMS, sums, strict=True))
    tokens, sampled = max(named["tokens"], 1.0), max(named["sampled"], 1.0)
    metrics = {"loss": named["loss"], "trained_tokens": named["tokens"], "entropy": named["entropy"] / tokens}
    if has_ratio:
        metrics |= {
            "ratio_mean": named["ratio"] / sampled,
            "ratio_max": ratio_max,
            "clip_fraction": named["clipped"] / sampled,
            "kl_k1": named["k1"] / sampled,
            "kl_k3": named["k3"] / sampled,
        }
    if has_ratio and compares:
        metrics["engine_mismatch_tokens"] = named["compared"]
        if named["compared"]:
            metrics["engine_mismatch_mean"] = named["mismatch"] / named["compared"]
            metrics["engine_mismatch_max"] = mismatch_max
    if has_reference:
        metrics["reference_kl"] = named["reference_kl"] / sampled
    return metrics
