"""Small real runs, shared by the tests of rounds; also a program, so that a test can kill it.

python tests/round/runs.py FOLDER SCHEDULE ROUNDS      plays or resumes, prints a line per round
"""

import asyncio
import sys
from pathlib import Path

from crl.config import Config
from crl.config.compose import composed
from crl.files import digest_folder
from crl.round.coevolution import CoEvolution
from crl.round.hooks import PLAIN, Hooks
from crl.round.report import RoundReport
from crl.round.state import latest_state
from crl.tasks.sets import TaskSets
from crl.tiny.warm_start import warm_start

CONF = Path(__file__).parents[2] / "conf"
SMALL = [
    "tasks.eval_levels=6", "tasks.mix.room.weight=4", "models.actor.hidden_size=32", "models.actor.layers=1",
    "warm_start.episodes_per_task=40", "warm_start.actor_steps=120", "warm_start.extractor_steps=120",
    "rollout.groups=3", "rollout.live_episodes=24", "learn.extractor.batch=6", "learn.extractor.buffer=64",
    "learn.extractor.guard.replies=8", "extractor.merge.every_rounds=2", "rounds.bank_warmup=1",
]  # fmt: skip


def small_config(schedule: str = "lockstep", rounds: int = 4, *more: str) -> Config:
    return composed("quick", [*SMALL, f"run.schedule={schedule}", f"rounds.count={rounds}", *more], CONF)


def base_models(folder: Path) -> Path:
    """Warm-started tiny models; the same for every schedule."""
    warm_start(config := small_config(), TaskSets.generate(config), folder)
    return folder


def open_run(config: Config, folder: Path, hooks: Hooks = PLAIN) -> CoEvolution:
    models = {role: folder / "models" / role for role in ("actor", "extractor")}
    return CoEvolution.open(config, folder=folder / "run", tasks=TaskSets.generate(config), hooks=hooks, **models)


async def play(config: Config, folder: Path, tell=lambda report: None, hooks: Hooks = PLAIN) -> list[RoundReport]:
    """To the end, from wherever it stands; each round is told of once it is on disk, while the next one plays."""
    run = open_run(config, folder, hooks)
    played = []

    async def committed(report: RoundReport) -> None:
        played.append(report)
        tell(report)

    try:
        while run.next_round < run.rounds_total:
            await run.play_round(committed)
        await run.finish()
        return played
    finally:
        await run.close()


def digests(folder: Path) -> dict[str, str]:
    """Of everything a run leaves behind, by part: weights, optimisers, buffer and position, each round's bank."""
    state = latest_state(folder / "run")
    last = max((state / "checkpoints").iterdir())
    return {
        str(part.relative_to(state)): digest_folder(part) for part in [last, *sorted((state / "snapshots").iterdir())]
    }


if __name__ == "__main__":
    where, schedule, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    asyncio.run(
        play(small_config(schedule, rounds), where, tell=lambda report: print("round", report.round, flush=True))
    )
    print("done", flush=True)
