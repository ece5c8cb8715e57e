"""A learner in processes of its own against one in this process: same model, same batch, same loss.

    python -m benchmarks.learners [--json FILE]

`own_process`: one worker. What it costs is the batch's way there (a pickle of 15 bytes a token) and the metrics' way back.
`two_workers`: two, sharded, each with half of the micro-batches: below 1 where two cores are free. `hand_over`: the weights as an
engine takes them, through a file from two workers, against a copy in this process. One thread each, interleaved.
"""

import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks.common import Row, compare, main, seconds
from benchmarks.grpo_step import SEQUENCES, VOCAB, batch, model
from crl.config import Config
from crl.config.compose import composed
from crl.learn.group import LearnerGroup
from crl.learn.opening import load_learning, open_trainer
from crl.learn.protocol import Training
from crl.learn.sequences import WeightedSequence
from crl.models.resolve import save_model
from crl.tiny.tokenizer import train_tokenizer

CONF = Path(__file__).parents[1] / "conf"


def config_of(workers: int | None) -> Config:
    given = ["run.device=cpu", "run.torch_threads=1", "learn.actor.kl_coef=0"]
    shown = "null" if workers is None else workers
    return composed(
        "quick", [*given, "learn.actor.optimizer.micro_batch_tokens=2048", f"learn.actor.workers={shown}"], CONF
    )


def check_same_loss(trainings: Sequence[Training], sequences: Sequence[WeightedSequence]) -> None:
    """Of the first update, from the same weights."""
    losses = [each.update(sequences)["loss"] for each in trainings]
    if max(losses) - min(losses) > 1e-6:
        sys.exit(f"not comparable: losses {losses}")


def measure(repeats: int, sequences: Sequence[WeightedSequence]) -> list[Row]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        save_model(model(), train_tokenizer(["go north to the door"], VOCAB), folder)
        alone = open_trainer(config_of(None), "actor", load_learning(config_of(None), "actor", folder)[0], folder)
        one, two = (LearnerGroup(config_of(workers), "actor", folder) for workers in (1, 2))
        try:
            check_same_loss((alone, one.ready(), two.ready()), sequences)
            here = partial(seconds, partial(alone.update, sequences))
            rows = [
                compare(name, partial(seconds, partial(group.update, sequences)), here, unit="s", repeats=repeats)
                for name, group in (("own_process", one), ("two_workers", two))
            ]
            handed = partial(seconds, two.weights)
            return [*rows, compare("hand_over", handed, partial(seconds, alone.weights), unit="s", repeats=repeats)]
        finally:
            one.close()
            two.close()


if __name__ == "__main__":
    main("learners: one GRPO update", lambda repeats: measure(repeats, batch(SEQUENCES)), repeats=15)
