"""From weighted sequences to micro-batches: the tensors of one forward pass, with only the trainable positions listed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from crl.errors import DataError
from crl.learn.objectives import Aggregation
from crl.learn.sequences import WeightedSequence


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """B right-padded contexts of T inputs, and the M trainable tokens among them.

    Attention is causal, so padding on the right cannot reach a real token and no attention mask is needed:
    the fast causal kernel serves every batch.
    """

    input_ids: torch.Tensor  # [B, T]
    rows: torch.Tensor  # [M] positions in the flattened [B * T] whose output predicts the token
    targets: torch.Tensor  # [M] the trainable token ids
    old_logprobs: torch.Tensor  # [M]
    advantages: torch.Tensor  # [M] weight of the token's sequence
    token_weights: torch.Tensor  # [M] what the token counts in the optimiser batch's loss
    temperatures: torch.Tensor  # [M]
    counts: tuple[int, ...]  # trainable tokens of each of the B contexts, M in all
    in_context: torch.Tensor  # [M] bool: sampled in this context, so that `old_logprobs` mean something
    current: torch.Tensor  # [M] 1.0 where the weights that sampled are those that the update begins with, else 0.0
    allowed: torch.Tensor | None  # [M, K] ids that each was drawn among, -1 behind them; None: all ids
    live: float  # 0.0 for a stand-in that only keeps workers in step, else 1.0
    # [M] the trainer's log-probs before the update's first step; None: nobody asks, or this is that step
    proximal: torch.Tensor | None = None

    @property
    def inputs(self) -> tuple[torch.Tensor | None, ...]:
        """As `TokenScorer` takes them."""
        return self.input_ids, self.rows, self.targets, self.temperatures, self.allowed


@dataclass(frozen=True, slots=True)
class Denominators:
    """Of a whole optimiser batch, whatever micro-batches and workers it is split into.

    A loss over the batch is `(term * token_weight).sum()`: summed over micro-batches, accumulation steps or workers in any
    partition it gives the same loss and gradient.
    """

    sequences: int
    tokens: int

    @classmethod
    def of(cls, batch: Sequence[WeightedSequence]) -> "Denominators":
        return cls(len(batch), sum(item.sequence.trainable_tokens for item in batch))

    def token_weight(self, sequence_tokens: int, aggregation: Aggregation) -> float:
        """What each of a sequence's `sequence_tokens` trainable tokens counts in the loss of the batch.

        sequence:  1 / (sequence_tokens * sequences), the mean over sequences of their token means
        token:     1 / tokens, the plain mean over tokens
        """
        return 1.0 / (self.tokens if aggregation == "token" else sequence_tokens * self.sequences)


def micro_batches(lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """Split contexts into micro-batches of at most `budget_tokens` padded tokens each.

    Returns indices into `lengths`. Longest first: neighbours are of like length, so little is padded, and a
    batch that does not fit into memory fails at once. A context longer than the budget is alone.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not batches or lengths[batches[-1][0]] * (len(batches[-1]) + 1) > budget_tokens:
            batches.append([])
        batches[-1].append(index)
    return batches


@dataclass(frozen=True, slots=True)
class Row:
    """One context of a sequence, as the model reads it."""

    item: WeightedSequence
    start: int  # of the context, in the sequence
    positions: np.ndarray  # [M] of its trainable tokens, in the sequence; M > 0

    @property
    def length(self) -> int:
        """Tokens that must go through the model: all before the last trainable one."""
        return int(self.positions[-1]) - self.start


def rows_of(items: Sequence[WeightedSequence]) -> list[Row]:
    """A row for each context, in order; those without trainable tokens are left out."""
    rows = []
    for item in items:
        starts, trainable = item.sequence.starts, np.flatnonzero(item.sequence.loss_mask)
        parts = np.split(trainable, np.searchsorted(trainable, starts[1:]))
        rows += [Row(item, start, part) for start, part in zip(starts, parts, strict=True) if len(part)]
    return rows


def collate(
    rows: Sequence[Row],
    denominators: Denominators,
    aggregation: Aggregation,
    *,
    device: torch.device,
    live: bool = True,
    version: int | None = None,
) -> MicroBatch:
    """Pad `rows` into one micro-batch. What a token counts is of its whole sequence, wherever the other rows of that are.

    `version` is that of the weights that the update begins with; None where nobody asks. Raises DataError where free replies and
    replies among choices meet.
    """
    width = max(row.length for row in rows)
    ids = np.zeros((len(rows), width), dtype=np.int64)
    places, targets, old_logprobs, allowed = [], [], [], []
    for b, row in enumerate(rows):
        sequence, end = row.item.sequence, row.start + row.length
        tokens = np.asarray(sequence.input_ids[row.start : end + 1], dtype=np.int64)
        logprobs = np.asarray(sequence.old_logprobs[row.start : end + 1], dtype=np.float32)
        positions = row.positions - row.start
        ids[b, : row.length] = tokens[:-1]
        places.append(b * width + positions - 1)
        targets.append(tokens[positions])
        old_logprobs.append(logprobs[positions])
        allowed += [sequence.allowed[position] for position in row.positions] if sequence.allowed else ()

    counts = [len(row.positions) for row in rows]
    sequences = [row.item.sequence for row in rows]
    weights = [denominators.token_weight(each.trainable_tokens, aggregation) for each in sequences]

    def per_token(values: list[float], dtype: type = np.float32) -> torch.Tensor:
        return torch.from_numpy(np.repeat(np.asarray(values, dtype=dtype), counts)).to(device)

    def joined(parts: list[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate(parts)).to(device)

    return MicroBatch(
        input_ids=torch.from_numpy(ids).to(device),
        rows=joined(places),
        targets=joined(targets),
        old_logprobs=joined(old_logprobs),
        advantages=per_token([row.item.weight for row in rows]),
        token_weights=per_token([weight * live for weight in weights]),
        temperatures=per_token([each.temperature for each in sequences]),
        counts=tuple(counts),
        in_context=per_token([each.in_context for each in sequences], np.bool_),
        current=per_token([float(version is not None and each.version == version) for each in sequences]),
        allowed=_padded(allowed, sum(counts), device) if allowed else None,
        live=float(live),
    )


def _padded(allowed: Sequence[tuple[int, ...]], tokens: int, device: torch.device) -> torch.Tensor:
    if len(allowed) != tokens:
        raise DataError(
            "free replies beside replies among choices. Remedy: keep one setting of actor.replies within a batch"
        )
    ids_MK = np.full((tokens, max(map(len, allowed))), -1, dtype=np.int64)
    for row, ids in enumerate(allowed):
        ids_MK[row, : len(ids)] = ids
    return torch.from_numpy(ids_MK).to(device)
