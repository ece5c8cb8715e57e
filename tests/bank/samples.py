"""Small banks, made by hand. The embedder is a stand-in: stable, instant, and similar texts get similar vectors."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from crl.bank.bank import Bank
from crl.bank.changes import Report
from crl.bank.projector import Projector
from crl.bank.records import Shown
from crl.config.bank import BankConfig
from crl.embedding.protocol import CachedEmbedder
from crl.extractor.merge import MergeChunk
from crl.types import Completion, Operation, OperationKind, Origin

DIM = 24


class WordEmbedder:
    """The normalised sum of one fixed random direction per word."""

    name, dim = "words", DIM

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def embed(self, texts: Sequence[str], *, one_by_one: bool = False) -> np.ndarray:
        self.batches += [[text] for text in texts] if one_by_one else [list(texts)]
        return np.stack([self._one(text) for text in texts]) if texts else np.empty((0, DIM), np.float32)

    def _one(self, text: str) -> np.ndarray:
        total = sum((_direction(word) for word in text.split()), np.full(DIM, 1e-3))
        return (total / np.linalg.norm(total)).astype(np.float32)


def _direction(word: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
    return np.random.default_rng(seed).standard_normal(DIM)


def open_bank(
    folder: Path, *, embedder: CachedEmbedder | WordEmbedder | None = None, seed: int = 7,
    follow: Callable[[Path], Projector] | None = None, **config: object,
) -> Bank:  # fmt: skip
    return Bank(
        folder, BankConfig(**config), embedder or WordEmbedder(), run_id="run", seed=seed, lock_timeout_s=5.0,
        follow=follow,
    )  # fmt: skip


def completion(id_: str) -> Completion:
    return Completion(
        id_, (1, 2, 3), (4, 5), (-0.25, -1.0 / 3.0), f"reply of {id_}", "stop", version=2, temperature=0.9
    )


def add(text: str) -> Operation:
    return Operation(OperationKind.ADD, text)


def update(text: str, *targets: str) -> Operation:
    return Operation(OperationKind.UPDATE, text, targets)


def apply(
    bank: Bank, id_: str, *operations: Operation, scope: str = "maze", key_text: str = "a dark room", round: int = 0
) -> Report:
    origin = Origin(id_, f"r{round}.g0.e4", round, "distil")
    return bank.apply(operations, scope=scope, key_text=key_text, origin=origin, completion=completion(id_))


def merge(bank: Bank, id_: str, parents: Sequence[str], *texts: str, scope: str = "maze", round: int = 0) -> Report:
    return bank.merge(MergeChunk(scope, tuple(parents), texts, completion(id_)), round=round)


def show(bank: Bank, *rows: Shown) -> None:
    """Count showings, durably."""
    bank.count_shown(rows)
    bank.flush()


def crash(bank: Bank) -> None:
    """What a kill leaves: nothing that was only counted reaches the disk, and the lock is free."""
    bank._closing.close()


def texts(bank: Bank, scope: str | None = None) -> list[str]:
    return [entry.text for entry in bank.entries(scope)]
