"""A real chat model's learner in processes of its own against one in this process: same model, same batch, same loss.

    crl models fetch smollm2-135m-instruct
    python -m benchmarks.learners [--json FILE]

SmolLM2-135M-Instruct in float32, 16 trajectories of 100 to 300 tokens, one thread a process, interleaved. `own_process`: one worker
against the flow's process; what it costs is the batch's way there (a pickle of 15 bytes a token) and the metrics' way back.
`two_workers`: two, sharded, each with half of the micro-batches, against one: below 1 where two cores are free. `worker_memory`:
the most memory that one of the two has held, against the lone one's, loading and libraries included. `hand_over`:
the weights as an engine takes them, through a file from two workers, against a copy in this process.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks.common import Row, main, measure_interleaved, peak_gib, row, seconds
from benchmarks.grpo_step import batch
from crl.config import Config
from crl.config.compose import composed
from crl.learn.group import LearnerGroup
from crl.learn.opening import load_learning, open_trainer
from crl.learn.protocol import Training
from crl.learn.sequences import WeightedSequence
from crl.models.shelf import located

CONF = Path(__file__).parents[1] / "conf"
MODEL = "smollm2-135m-instruct"
SEQUENCES, MICRO_BATCH_TOKENS = 16, 1024


def config_of(workers: int | None) -> Config:
    given = ["run.device=cpu", "run.torch_threads=1", "learn.actor.kl_coef=0", "learn.actor.optimizer.lr=1e-9"]
    shown = "null" if workers is None else workers
    sizes = [f"learn.actor.optimizer.micro_batch_tokens={MICRO_BATCH_TOKENS}", f"learn.actor.workers={shown}"]
    return composed("quick", [*given, *sizes], CONF)


def check_same_loss(trainings: Sequence[Training], sequences: Sequence[WeightedSequence]) -> None:
    """Of the first update, from the same weights."""
    losses = [each.update(sequences)["loss"] for each in trainings]
    if max(losses) - min(losses) > 1e-6:
        sys.exit(f"not comparable: losses {losses}")


def worker_gib(group: LearnerGroup) -> float:
    """Of the worker that has held most."""
    return max(map(peak_gib, group._crew.pids))


def measure(repeats: int, source: str, sequences: Sequence[WeightedSequence]) -> list[Row]:
    torch.set_num_threads(1)
    configs = {workers: config_of(workers) for workers in (None, 1, 2)}
    alone = open_trainer(configs[None], "actor", load_learning(configs[None], "actor", source)[0], source)
    one, two = (LearnerGroup(configs[workers], "actor", source) for workers in (1, 2))
    try:
        check_same_loss((alone, one.ready(), two.ready()), sequences)
        sides = {"here": alone, "one": one, "two": two}
        took = measure_interleaved(
            {name: partial(seconds, partial(side.update, sequences)) for name, side in sides.items()},
            repeats,
            warmups=0,
        )
        handed = measure_interleaved(
            {name: partial(seconds, side.weights) for name, side in (("here", alone), ("two", two))}, repeats
        )
        return [
            row("own_process", took["one"], took["here"], unit="s"),
            row("two_workers", took["two"], took["one"], unit="s"),
            row("worker_memory", [worker_gib(two)], [worker_gib(one)], unit="GiB"),
            row("hand_over", handed["two"], handed["here"], unit="s"),
        ]
    finally:
        one.close()
        two.close()


if __name__ == "__main__":
    main("learners: one GRPO update", lambda repeats: measure(repeats, located(MODEL), batch(SEQUENCES)), repeats=3)
