"""Seconds of a round's phases: arithmetic and bytes over the data sheet's rates times the assumed utilisation."""

from crl.plan.hardware import Gpu, Utilisation
from crl.plan.memory import WIDTH, cache_bytes_per_token
from crl.plan.shapes import Shape


def training_flops(shape: Shape, tokens: float, length: float, *, adapter: int = 0) -> float:
    """Forward and backward: 6 per matrix weight and token, and causal attention's 6 L n_q d x length per token.

    The output table counts in full, though logits are taken at trainable positions only. Beside an `adapter` of so many
    parameters the weights have no gradient of their own, which is a third.
    """
    matrices = 4 * shape.matrices + 6 * adapter if adapter else 6 * shape.matrices
    return tokens * (matrices + 6 * shape.layers * shape.heads * shape.head_dim * length)


def training_s(
    shape: Shape, tokens: float, length: float, gpu: Gpu, gpus: int, use: Utilisation, *, forwards: float,
    adapter: int = 0,
) -> float:  # fmt: skip
    """Of all updates of a round, on `gpus` that share them evenly; `forwards`: passes over every token that learn nothing."""
    flops = training_flops(shape, tokens, length, adapter=adapter)
    flops += forwards * training_flops(shape, tokens, length) / 3
    return flops / (gpu.flops * use.training * gpus)


def prefill_s(shape: Shape, tokens: float, length: float, gpu: Gpu, gpus: int, use: Utilisation) -> float:
    """Forward passes over prompts: a third of the training flops; every token once, since prefixes stay cached."""
    return training_flops(shape, tokens, length) / 3 / (gpu.flops * use.prefill * gpus)


def decode_s(
    shape: Shape, tokens: float, length: float, *, live: float, gpu: Gpu, gpus: int, tensor_parallel: int, dtype: str,
    use: Utilisation,
) -> float:  # fmt: skip
    """Generation, bound by memory: each step of an engine reads its weights once and the caches of its live sessions.

    `gpus` form gpus / tensor_parallel engines, and `live` sessions spread over them evenly. Step bytes per GPU:
    (P_matrices x width + live per engine x length x cache bytes) / tensor_parallel; a step yields one token per
    session. Arithmetic can be the bound instead: 2 P_matrices per token.
    """
    engines = max(1, gpus // tensor_parallel)
    sessions = max(1.0, live / engines)
    read = shape.matrices * WIDTH[dtype] + sessions * length * cache_bytes_per_token(shape, dtype)
    by_memory = read / tensor_parallel / (gpu.bandwidth * use.decode)
    by_arithmetic = 2 * shape.matrices * sessions / tensor_parallel / (gpu.flops * use.prefill)
    steps = tokens / (sessions * engines)
    return steps * max(by_memory, by_arithmetic)


def sync_s(parameters: int, dtype: str, use: Utilisation) -> float:
    """So many new weights to the engines, all of which read them at once."""
    return parameters * WIDTH[dtype] / use.sync_bytes_per_s
