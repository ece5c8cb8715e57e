"""One random stream per consumer, derived with a stable hash.

Python's own `hash` is salted per process and shared streams couple unrelated consumers, so every
consumer derives its stream from (run seed, purpose, round, group, episode, ...) and nothing else.
"""

import hashlib

import numpy as np


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed that depends on the parts and their order only, equal on every machine."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def stream(*parts: int | str) -> np.random.Generator:
    """A numpy generator of its own for the consumer that the parts name."""
    return np.random.default_rng(derive_seed(*parts))
