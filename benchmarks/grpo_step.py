"""One GRPO update against TRL's trainer: same model, same sequences, same loss.

    python -m benchmarks.grpo_step [--json FILE]

Both sides start from sequences with sampling log-probs and advantages, and end after the optimiser's step.
Counted for both: collating into tensors, forward, loss, their usual diagnostics (entropy, clipping),
backward, gradient-norm clipping, fused AdamW. Not counted for TRL: generation, scoring, dataloading,
callbacks, or a pass for old log-probs, which both get from sampling. Each side runs at the micro-batch size
that suits it best among those tried here first, in one thread, interleaved.

`vs_trl`: every sequence carries an advantage. `vs_trl_half_flat`: half of the groups are flat, as in real
rounds; those cost us no pass, by an identity, and TRL the same as the others.
"""

import copy
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from benchmarks.common import Row, compare, main, measure_interleaved, seconds
from crl.config.learn import AdamConfig
from crl.learn.objectives.grpo import GrpoObjective
from crl.learn.sequences import TrainingSequence, WeightedSequence
from crl.learn.trainer import Trainer
from crl.seeding import derive_seed, stream
from tests.learn.trl_side import trl_trainer, trl_update

SEQUENCES, VOCAB = 96, 640
ADAM = AdamConfig(lr=1e-4, weight_decay=0.0, max_grad_norm=1.0)
OUR_MICRO_BATCH_TOKENS = (1024, 2048, 4096, 16_384)
TRL_MICRO_BATCHES = (8, 16, 32, 96)  # sequences
Update = Callable[[Sequence[WeightedSequence]], float]


def model() -> Qwen2ForCausalLM:
    torch.manual_seed(derive_seed("grpo_step"))
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=VOCAB,
            hidden_size=64,
            intermediate_size=256,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=512,
            tie_word_embeddings=True,
        )
    )


def batch(count: int) -> list[WeightedSequence]:
    """Trajectories of 100 to 300 tokens; from a 30-token head on, the last of every 9 tokens is sampled."""
    generator = stream("grpo_step", "batch")
    sequences = []
    for length in generator.integers(100, 301, count):
        ids = generator.integers(3, VOCAB, length)
        position = np.arange(length)
        mask = (position >= 30) & ((length - 1 - position) % 9 == 0)  # ends with a sampled token
        logprobs = np.where(mask, -np.log(VOCAB) + generator.normal(0, 0.1, length), 0.0)
        sequence = TrainingSequence(
            tuple(map(int, ids)), tuple(map(int, mask)), tuple(map(float, logprobs)), temperature=1.0
        )
        sequences.append(WeightedSequence(sequence, float(generator.choice([-0.5, 0.5]))))
    return sequences


def our_update(micro_batch_tokens: int) -> Update:
    adam = ADAM.model_copy(update={"micro_batch_tokens": micro_batch_tokens})
    trainer = Trainer(model(), adam, GrpoObjective(clip_low=0.2, clip_high=0.2), device="cpu")
    return lambda sequences: trainer.update(sequences)["loss"]


def their_update(micro_batch: int, sequences: int, folder: Path) -> Update:
    """TRL's, with `micro_batch` sequences a part."""
    theirs = trl_trainer(
        copy.deepcopy(model()), folder, loss_type="grpo", epsilon=0.2, learning_rate=ADAM.lr, weight_decay=0.0,
        max_grad_norm=ADAM.max_grad_norm,
    )  # fmt: skip
    theirs.current_gradient_accumulation_steps = max(1, sequences // micro_batch)
    optimizer = theirs.create_optimizer()
    return lambda batch: trl_update(theirs, optimizer, batch, micro_batch)


def fastest(candidates: dict[int, Update], sequences: Sequence[WeightedSequence]) -> int:
    """The size with the smallest median of three, after one warming update each."""
    sides = {str(size): partial(seconds, partial(update, sequences)) for size, update in candidates.items()}
    figures = measure_interleaved(sides, repeats=3)
    return min(candidates, key=lambda size: statistics.median(figures[str(size)]))


def check_same_loss(ours: Update, theirs: Update, sequences: Sequence[WeightedSequence]) -> None:
    """The first update of both sides, from the same weights, must be of the same loss."""
    left, right = ours(sequences), theirs(sequences)
    if abs(left - right) > 1e-5:
        sys.exit(f"not comparable: our loss {left:.7f}, TRL's {right:.7f}")


def measure(repeats: int, sequences: Sequence[WeightedSequence]) -> list[Row]:
    torch.set_num_threads(1)
    half_flat = [replace(item, weight=0.0) if k % 16 < 8 else item for k, item in enumerate(sequences)]
    with tempfile.TemporaryDirectory() as folder:
        theirs = {size: their_update(size, len(sequences), Path(folder)) for size in TRL_MICRO_BATCHES}
        ours = {size: our_update(size) for size in OUR_MICRO_BATCH_TOKENS}
        check_same_loss(ours[OUR_MICRO_BATCH_TOKENS[0]], theirs[TRL_MICRO_BATCHES[0]], sequences)
        our, their = ours[fastest(ours, sequences)], theirs[fastest(theirs, sequences)]
        return [
            compare(
                name, partial(seconds, partial(our, chosen)), partial(seconds, partial(their, chosen)), unit="s",
                repeats=repeats,
            )
            for name, chosen in (("vs_trl", sequences), ("vs_trl_half_flat", half_flat))
        ]  # fmt: skip


if __name__ == "__main__":
    main("grpo_step: one GRPO update", lambda repeats: measure(repeats, batch(SEQUENCES)), repeats=15)
