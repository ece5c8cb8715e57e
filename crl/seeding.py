"""One random stream per consumer, derived with a stable hash.

Python's own `hash` is salted per process and shared streams couple unrelated consumers, so every
consumer derives its stream from (run seed, purpose, round, group, episode, ...) and nothing else.
"""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed that depends on the parts and their order only, equal on every machine."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def stream(*parts: int | str) -> np.random.Generator:
    """A numpy generator of its own for the consumer that the parts name."""
    return np.random.default_rng(derive_seed(*parts))


def pick(choices: Sequence[T], rng: np.random.Generator) -> T:
    """One of the choices, each as likely as the others."""
    return choices[int(rng.integers(len(choices)))]
