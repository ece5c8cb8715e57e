"""GPUs by their vendors' data sheets, and the shares of them that work like ours reaches."""

from dataclasses import dataclass

from crl.plan.memory import GIB


@dataclass(frozen=True, slots=True)
class Gpu:
    name: str
    memory: int  # bytes
    flops: float  # per second, dense bfloat16
    bandwidth: float  # bytes per second


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("h200", 141 * 10**9, 989e12, 4.8e12),
        Gpu("h100", 80 * GIB, 989e12, 3.35e12),
        Gpu("a100", 80 * GIB, 312e12, 2.04e12),
        Gpu("a100-40", 40 * GIB, 312e12, 1.56e12),
        Gpu("l40s", 48 * 10**9, 362e12, 0.864e12),
        Gpu("l4", 24 * 10**9, 121e12, 0.3e12),
        Gpu("rtx4090", 24 * GIB, 165e12, 1.008e12),
    )
}


@dataclass(frozen=True, slots=True)
class Utilisation:
    """Shares of the data sheet that are assumed. They decide the seconds: measure yours and pass them."""

    training: float = 0.35  # of the flops, in forward and backward passes
    prefill: float = 0.4  # of the flops
    decode: float = 0.5  # of the memory bandwidth
    sync_bytes_per_s: float = 2e9  # of new weights on their way to the engines
