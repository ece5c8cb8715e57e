"""How far the policy moved from the one that sampled, summed over micro-batches and workers.

Where the weights are still those that sampled, nothing has moved: what is left between the two log-probs is the
difference between the engine's arithmetic and the trainer's, the engine mismatch.
"""

import torch

from crl.learn.collate import MicroBatch
from crl.learn.correction import Anchor
from crl.learn.objectives import k3_kl

SUMS = (
    "loss", "tokens", "sampled", "ratio", "clipped", "k1", "k3", "entropy", "reference_kl", "mismatch", "compared",
    "weight", "weight_squared", "outside",
)  # fmt: skip
MAXIMA = ("ratio", "mismatch")


def token_sums(
    part: MicroBatch,
    loss: torch.Tensor,
    logprobs: torch.Tensor,
    anchor: Anchor,
    entropies: torch.Tensor,
    reference_kl: torch.Tensor | None,
    clip_range: tuple[float, float] | None,
) -> torch.Tensor:
    """One micro-batch's sums over its [M] tokens in the order of SUMS, then its MAXIMA: [16] float64.

    "sampled" are the tokens that have a ratio: means of ratios, divergences and weights are over them. The others' is 1, by
    `anchor`. Ratios and divergences are from the policy that sampled; "clipped" is what the objective's own ratio is.
    """
    sampled = part.in_context.double()
    log_ratio = (logprobs - anchor.sampled).detach().double()
    ratio, moved = log_ratio.exp(), (logprobs - anchor.proximal).detach().double().exp()
    weights = anchor.weights.double() * sampled
    low, high = clip_range or (0.0, float("inf"))
    zero = log_ratio.new_zeros(())
    mismatch = log_ratio.abs() * part.current
    parts = [
        loss.detach().double(),
        zero + len(ratio),
        sampled.sum(),
        (ratio * sampled).sum(),
        ((moved < low) | (moved > high)).double().sum(),
        -log_ratio.sum(),
        k3_kl(anchor.sampled.double(), logprobs.detach().double()).sum(),
        entropies.double().sum(),
        zero if reference_kl is None else (reference_kl.detach().double() * sampled).sum(),
        mismatch.sum(),
        part.current.double().sum(),
        weights.sum(),
        weights.square().sum(),
        (anchor.outside * sampled).sum(),
        (ratio * sampled).max(),
        mismatch.max(),
    ]
    return torch.stack(parts) * part.live


def combine(rows: torch.Tensor) -> torch.Tensor:
    """[N, 16] of micro-batches or workers -> [16] of all of them."""
    return torch.cat([rows[:, : len(SUMS)].sum(0), rows[:, len(SUMS) :].max(0).values])


def summarise(
    totals: torch.Tensor, *, has_ratio: bool, has_reference: bool, compares: bool, corrects: bool
) -> dict[str, float]:
    """Means over the tokens of one optimiser step, from `token_sums` totals of all workers [16].

    With `compares`, the engine mismatch: over how many tokens, and where there are any its mean and maximum in nats.
    With `corrects`, the importance weights': their mean, the share of tokens that were outside the bounds, and the effective
    sample size (sum w)^2 / (n sum w^2), the share of the n tokens that equal weights would make do with.
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
    if corrects and named["sampled"]:
        metrics |= {
            "correction_weight": named["weight"] / sampled,
            "correction_outside": named["outside"] / sampled,
            "correction_ess": named["weight"] ** 2 / max(sampled * named["weight_squared"], 1e-12),
        }
    if has_reference:
        metrics["reference_kl"] = named["reference_kl"] / sampled
    return metrics


def mismatch_told(metrics: dict[str, float], architecture: str, so: str) -> str:
    """What an alarm about the engine mismatch says, `so` being what follows from it."""
    return (
        f"on the weights that sampled, the engine's log-probs are {metrics['engine_mismatch_mean']:.2g} nats from the trainer's "
        f"(mean; at most {metrics['engine_mismatch_max']:.2g}), {so}. Remedy: compare {architecture} in python -m "
        "benchmarks.models, use another engine.kind, or models.*.dtype: float32"
    )
