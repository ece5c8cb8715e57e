"""One GRPO update of a real chat model, SmolLM2-135M-Instruct, against TRL's trainer: all weights, and an adapter.

    crl models fetch smollm2-135m-instruct
    python -m benchmarks.pretrained_update [--repeats N] [--json FILE]

32 episodes that the model played (benchmarks/pretrained.py): a manual of 300 tokens, two turns of 40 tokens shown and 24 sampled;
advantages of +-0.5; micro-batches of four episodes, in float32. Each side is a process of its own and makes one update, its first,
so that the losses can be compared (to 1e-5) and the optimiser's moments count. Collating, forward, loss, diagnostics, backward,
clipping and AdamW count; loading does not.

`update_vs_trl`, `lora_update_vs_trl`: seconds.
`memory_vs_trl`, `lora_memory_vs_trl`: the most memory of the process while it updates.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from transformers import PreTrainedModel
from transformers.utils import logging

from benchmarks.common import Row, main, peak_gib, row
from benchmarks.pretrained import LORA, MODEL, TEMPERATURE, Rollouts, Shape, opening
from crl.config.learn import AdamConfig
from crl.engine.kinds import Transformers
from crl.learn.objectives.grpo import GrpoObjective
from crl.learn.sequences import WeightedSequence, completion_sequence
from crl.learn.trainer import Trainer
from crl.models.adapter import add_adapter
from crl.models.resolve import load_model
from crl.models.shelf import located

SHAPE = Shape(turns=2)
EPISODES_AT_ONCE = 4
ADAM = AdamConfig(lr=1e-5, micro_batch_tokens=EPISODES_AT_ONCE * SHAPE.context)


@dataclass(frozen=True, slots=True)
class Update:
    loss: float
    seconds: float
    peak_gib: float


def episodes(source: str, shape: Shape) -> list[WeightedSequence]:
    """Played by the model; as many are worth a half as minus a half."""
    _, tokenizer = load_model(source)
    plays = Rollouts(shape, tokenizer)
    with closing(Transformers.open(opening(source, shape))) as engine:
        plays.play(engine)
    sequences = [completion_sequence(*said) for said in plays.completions]
    return [WeightedSequence(sequence, 0.5 - index % 2) for index, sequence in enumerate(sequences)]


def learner(source: str, lora: bool) -> PreTrainedModel:
    model, _ = load_model(source)
    if lora:
        add_adapter(model, LORA, field="lora", source=source, seed=0)
    return model


def ours(source: str, batch: Sequence[WeightedSequence], lora: bool) -> Update:
    trainer = Trainer(learner(source, lora), ADAM, GrpoObjective(clip_low=0.2, clip_high=0.2), device="cpu")
    return _measured(lambda: trainer.update(batch)["loss"])


def theirs(source: str, batch: Sequence[WeightedSequence], lora: bool) -> Update:
    from tests.learn.trl_side import trl_trainer, trl_update  # what it imports would count as our memory

    with tempfile.TemporaryDirectory() as folder:
        trainer = trl_trainer(
            learner(source, lora), Path(folder), loss_type="grpo", epsilon=0.2, learning_rate=ADAM.lr,
            weight_decay=ADAM.weight_decay, max_grad_norm=ADAM.max_grad_norm, temperature=TEMPERATURE,
        )  # fmt: skip
    optimizer = trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = len(batch) // EPISODES_AT_ONCE
    return _measured(lambda: trl_update(trainer, optimizer, batch, EPISODES_AT_ONCE))


def _measured(update: Callable[[], float]) -> Update:
    """Linux tells the most memory that a process held, and forgets it when it is told to."""
    Path("/proc/self/clear_refs").write_text("5")
    began = time.perf_counter()
    loss = update()
    return Update(loss, time.perf_counter() - began, peak_gib())


def apart(side: Callable[..., Update], *arguments: object) -> Update:
    """In a process that ends with it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(side, *arguments).result()


def compare(source: str, batch: Sequence[WeightedSequence], lora: bool, repeats: int) -> list[Row]:
    updates: dict[str, list[Update]] = {"ours": [], "theirs": []}
    for _ in range(repeats):
        for name, side in (("ours", ours), ("theirs", theirs)):
            updates[name].append(apart(side, source, batch, lora))
    left, right = updates["ours"], updates["theirs"]
    if abs(left[0].loss - right[0].loss) > 1e-5:
        sys.exit(f"not comparable: our loss {left[0].loss:.7f}, TRL's {right[0].loss:.7f}")
    name = "lora_" if lora else ""
    return [
        row(f"{name}update_vs_trl", [one.seconds for one in left], [one.seconds for one in right], unit="s"),
        row(f"{name}memory_vs_trl", [one.peak_gib for one in left], [one.peak_gib for one in right], unit="GiB"),
    ]


def run(repeats: int) -> list[Row]:
    logging.disable_progress_bar()
    source = located(MODEL)
    batch = episodes(source, SHAPE)
    return [line for lora in (False, True) for line in compare(source, batch, lora, repeats)]


if __name__ == "__main__":
    main("pretrained_update: one GRPO update of SmolLM2-135M-Instruct", run, repeats=1)
