"""What a round waits for its checkpoint: written beside the next round's rollouts, against written before anything goes on.

    python -m benchmarks.checkpoint [--json FILE]

One run in lockstep whose actor has half a billion parameters (random ones: what is measured does not depend on them), 12 bytes each
in a checkpoint. `waited`: of two rounds one is awaited on disk as soon as it has ended, as `play_round()` does it, and one is
written while the next plays, as the flow does it; what a round spends under the span `checkpoint`, from taking it down to having
it on disk, in seconds. `rollouts_of_writing`: how long the rollouts were beside which it was written, and how long that took:
above 1 nothing is waited for.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from transformers.utils import logging

from benchmarks.common import Row, main, row
from benchmarks.quick import quick_config, warm_models
from crl.config import Config
from crl.models.resolve import load_model, save_model
from crl.round.coevolution import CoEvolution
from crl.round.report import RoundReport
from crl.tasks.sets import TaskSets
from crl.tiny.model import build_model

SMALL = (
    "run.device=cpu", "tasks.mix.maze.weight=0", "tasks.mix.keyroom.weight=0", "rollout.groups=2", "rollout.group_size=4",
    "rollout.free_per_group=2", "rounds.bank_warmup=0", "learn.actor.optimizer.lr=1e-12", "learn.extractor.freeze=true",
    "models.actor.dtype=bfloat16", "learn.actor.kl_coef=0.01",  # which learns from groups that all failed, too
)  # fmt: skip
HALF_A_BILLION = {"hidden_size": 1536, "layers": 18, "heads": 12}


def grown(config: Config, folder: Path, shape: dict[str, int]) -> tuple[Path, Path]:
    """Models that speak the profile's language, of which the actor has forgotten it and is of this shape."""
    actor, extractor = warm_models(config, folder)
    tokenizer = load_model(str(actor))[1]
    save_model(build_model(config.models.actor.model_copy(update=shape), tokenizer, seed=0).float(), tokenizer, actor)
    return actor, extractor


class Rounds:
    """A run whose rounds say what they waited for."""

    def __init__(self, config: Config, folder: Path, models: tuple[Path, Path]) -> None:
        actor, extractor = models
        self._run = CoEvolution.open(
            config, folder=folder, actor=actor, extractor=extractor, tasks=TaskSets.generate(config)
        )
        self._loop = asyncio.Runner()

    async def _told(self, report: RoundReport) -> None:
        """A flow's place to record it."""

    def play(self) -> dict[str, float]:
        """A round that is being written when this returns; its metrics."""
        return self._loop.run(self._run.play_round(self._told)).metrics

    def on_disk(self) -> float:
        """Seconds until it is there."""
        began = time.perf_counter()
        self._loop.run(self._run.on_disk())
        return time.perf_counter() - began

    def close(self) -> None:
        self._loop.run(self._run.close())
        self._loop.close()


def measure(repeats: int, shape: dict[str, int] = HALF_A_BILLION) -> list[Row]:
    logging.disable_progress_bar()
    config = quick_config(*SMALL, f"rounds.count={2 * repeats + 2}", schedule="lockstep")
    beside, awaited, rollouts, writing = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        rounds = Rounds(config, Path(folder) / "run", grown(config, Path(folder) / "models", shape))
        try:
            rounds.play()
            rounds.on_disk()  # the first has no optimiser yet
            for _ in range(repeats):
                rounds.play()
                last = rounds.play()  # the one before was written meanwhile
                beside.append(last["time/checkpoint_s"] + last["time/snapshot_s"])
                rollouts.append(sum(last[f"time/{span}_s"] for span in ("generate", "retrieve", "env_step")))
                writing.append(last["time/checkpoint_total_s"] - last["time/checkpoint_s"])
                awaited.append(rounds.on_disk() + last["time/snapshot_s"])
        finally:
            rounds.close()
    return [row("waited", beside, awaited, unit="s"), row("rollouts_of_writing", rollouts, writing, unit="s")]


if __name__ == "__main__":
    main("checkpoint: seconds a round waits for it", measure, repeats=3)
