"""What guidance costs in wall clock: seconds per episode of guided rounds against free-only rounds.

    python -m benchmarks.overlap [--json FILE]

Three runs of the quick profile (12 groups of 8 episodes) from the same warm-started models: `free` has no experience,
no distillation and no extractor update, and is async; `async` and `lockstep` are guided, with all of them. All three
update the actor on every round and commit it. They take turns. A turn plays one round that is not timed, then the
timed ones, so that each of these has as much carried-over work at its start as it leaves at its end; what is
left then is finished off the clock, and burdens nobody else's turn.

Learning rates are next to nothing, which costs as much as any other: no run's episodes grow shorter than another's.

`async_vs_free`: guided async rounds; `lockstep_vs_free`: guided lockstep rounds, which overlap nothing.
"""

import asyncio
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from transformers.utils import logging

from benchmarks.common import Row, main, measure_interleaved, row
from benchmarks.quick import quick_config, warm_models
from crl.config import Config
from crl.round.coevolution import CoEvolution
from crl.tasks.sets import TaskSets

STILL = ("learn.actor.optimizer.lr=1e-12", "learn.extractor.optimizer.lr=1e-12")
WARMUP_ROUNDS = 2  # the first fills the bank; the second is the first that updates the actor


class Arm:
    """One run with an event loop of its own: it stands still while another has its turn."""

    def __init__(self, config: Config, folder: Path, models: tuple[Path, Path], rounds: int) -> None:
        self._episodes = config.rollout.groups * config.rollout.group_size * rounds
        self._rounds = rounds
        self._loop = asyncio.Runner()
        actor, extractor = models
        self.run = CoEvolution.open(
            config, folder=folder, actor=actor, extractor=extractor, tasks=TaskSets.generate(config)
        )

    def play(self, rounds: int) -> None:
        for _ in range(rounds):
            self._loop.run(self.run.play_round())

    def turn(self) -> float:
        """Seconds per episode of the timed rounds."""
        self.play(1)
        began = time.perf_counter()
        self.play(self._rounds)
        took_s = time.perf_counter() - began
        self._loop.run(self.run.finish())
        return took_s / self._episodes

    def close(self) -> None:
        self._loop.run(self.run.close())
        self._loop.close()


def configs(*overrides: str) -> dict[str, Config]:
    """By arm; groups that are free as a whole leave nobody to guide."""
    size = quick_config(*overrides).rollout.group_size
    return {
        "free": quick_config(*STILL, *overrides, "learn.extractor.freeze=true", f"rollout.free_per_group={size}"),
        "async": quick_config(*STILL, *overrides),
        "lockstep": quick_config(*STILL, *overrides, schedule="lockstep"),
    }


def measure(arms: Mapping[str, Config], repeats: int, rounds: int = 2) -> list[Row]:
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        models = warm_models(arms["async"], Path(folder) / "models")
        runs = {name: Arm(config, Path(folder) / name, models, rounds) for name, config in arms.items()}
        try:
            for run in runs.values():
                run.play(WARMUP_ROUNDS)
            figures = measure_interleaved({name: run.turn for name, run in runs.items()}, repeats, warmups=0)
        finally:
            for run in runs.values():
                run.close()
    return [row(f"{name}_vs_free", figures[name], figures["free"], unit="s/episode") for name in ("async", "lockstep")]


if __name__ == "__main__":
    main("overlap: wall clock per episode of guided rounds", lambda repeats: measure(configs(), repeats), repeats=5)
