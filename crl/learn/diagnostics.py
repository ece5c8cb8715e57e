"""How far the policy moved from the one that sampled, summed over micro-batches and workers."""

import torch

from crl.learn.losses import k3_kl

SUMS = ("loss", "tokens", "ratio", "clipped", "k1", "k3", "entropy", "reference_kl")


def token_sums(
    *,
    loss: torch.Tensor,
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor,
    entropies: torch.Tensor,
    reference_kl: torch.Tensor | None,
    clip_range: tuple[float, float] | None,
    live: float,
) -> torch.Tensor:
    """One micro-batch's sums over its [M] tokens, in the order of SUMS, then its largest ratio: [9] float64."""
    log_ratio = (logprobs - old_logprobs).detach().double()
    ratio = log_ratio.exp()
    low, high = clip_range or (0.0, float("inf"))
    zero = log_ratio.new_zeros(())
    parts = [
        loss.detach().double(),
        zero + len(ratio),
        ratio.sum(),
        ((ratio < low) | (ratio > high)).double().sum(),
        -log_ratio.sum(),
        k3_kl(old_logprobs.double(), logprobs.detach().double()).sum(),
        entropies.double().sum(),
        zero if reference_kl is None else reference_kl.detach().double().sum(),
        ratio.max(),
    ]
    return torch.stack(parts) * live


def summarise(totals: torch.Tensor, *, has_ratio: bool, has_reference: bool) -> dict[str, float]:
    """Means over the tokens of one optimiser step, from `token_sums` totals of all workers [9]."""
    *sums, ratio_max = totals.tolist()
    named = dict(zip(SUMS, sums, strict=True))
    tokens = max(named["tokens"], 1.0)
    metrics = {"loss": named["loss"], "trained_tokens": named["tokens"], "entropy": named["entropy"] / tokens}
    if has_ratio:
        metrics |= {
            "ratio_mean": named["ratio"] / tokens,
            "ratio_max": ratio_max,
            "clip_fraction": named["clipped"] / tokens,
            "kl_k1": named["k1"] / tokens,
            "kl_k3": named["k3"] / tokens,
        }
    if has_reference:
        metrics["reference_kl"] = named["reference_kl"] / tokens
    return metrics
