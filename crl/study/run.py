"""One run of a study: the arm's co-evolution from the seed's base models, evaluated on the held-out panel on the way.

Every file is renamed into place. A run that is killed at any instant goes on when it is started again: an evaluation that did
not end is made again, from the same weights, before the next round is played.
"""

import asyncio
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from crl.config import Config
from crl.config.base import flatten
from crl.errors import ConfigError
from crl.evaluation.code import code_digest, code_that_plays
from crl.evaluation.held_out import FREE, GUIDED, Candidate, play_phase
from crl.files import read_json, recover, round_folder, write_atomically, write_json
from crl.round.coevolution import CoEvolution
from crl.round.commit import reports
from crl.study.definition import PANEL_SETTINGS
from crl.study.place import IDLE_ROOMS, StudyRun, digest, identity
from crl.tasks.sets import TaskSets
from crl.tiny.warm_start import warm_start
from crl.types import Episode, Task

Tell = Callable[[str], None]


def play(run: StudyRun, tell: Tell = print) -> None:
    """Play the run to its end, from wherever it stands. Raises ConfigError where it was begun as another one."""
    if run.done:
        return
    config = run.study.config(run.arm, run.seed)
    tasks = TaskSets.generate(config)
    panel = panel_digest(config, tasks.evaluation)
    _same_run(run, {"config": config.model_dump(mode="json"), "panel": panel, **identity(config)})
    base = base_models(config, tasks, run.root / run.study.name / "base", tell)
    asyncio.run(_play(run, config, tasks, base, tell))
    write_json(run.folder / "done.json", {"points": len(run.points())})
    for state in (run.folder / "state").glob("*/checkpoints"):  # weights and optimisers; bank and reports stay
        shutil.rmtree(state)


async def _play(run: StudyRun, config: Config, tasks: TaskSets, base: Path, tell: Tell) -> None:
    co = CoEvolution.open(
        config, folder=run.folder / "state", actor=base / "actor", extractor=base / "extractor", tasks=tasks
    )
    try:
        while True:
            rounds = co.next_round
            if (rounds % run.study.every_rounds == 0 or rounds == co.rounds_total) and not run.point(rounds).exists():
                if rounds == co.rounds_total:
                    await co.finish()
                write_json(run.point(rounds), await _measured(run, co, rounds))
                tell(f"{run.arm} {run.seed}: evaluated after {rounds} of {co.rounds_total} rounds")
            if rounds == co.rounds_total:
                return
            await co.play_round()
    finally:
        await co.close()


async def _measured(run: StudyRun, co: CoEvolution, rounds: int) -> dict:
    """The held-out panel, played by the actor as it is now, without and with what guides it now."""
    state, config = co.parts.state, co.config
    guided = rounds > 0 and config.rollout.free_per_group < config.rollout.group_size
    spent = [report.metrics["env/steps"] for report in reports(state.path) if not report.closing]
    with TemporaryDirectory(dir=run.folder) as folder:
        models = {learner.role: Path(folder) / learner.role for learner in (co.parts.actor, co.parts.extractor)}
        for learner in (co.parts.actor, co.parts.extractor):
            learner.export(models[learner.role])
        bank = round_folder(state.snapshots, rounds - 1) if guided else None
        candidate = Candidate("after", models["actor"], models["extractor"], bank)
        embedder = co.parts.retriever.embedder.inner
        played = await play_phase(
            config, co.tasks.evaluation, candidate, embedder, arms=(FREE, GUIDED) if guided else (FREE,)
        )
    # Where nothing guides, the guided half would be the free one once more, episode for episode.
    cells = [*cells_of(played[FREE], experience=False), *cells_of(played.get(GUIDED, played[FREE]), experience=True)]
    return {
        "study": run.study.name, "arm": run.arm, "seed": run.seed, "rounds": rounds, "env_steps": int(sum(spent)),
        **{name: read_json(run.folder / "run.json")[name] for name in ("panel", "params", "code")}, "cells": cells,
    }  # fmt: skip


def cells_of(episodes: Sequence[Episode], *, experience: bool) -> list[dict]:
    """Counts by task."""
    cells = []
    for task in sorted({episode.task.name for episode in episodes}):
        of_task = [episode for episode in episodes if episode.task.name == task]
        counts = {
            "levels": len({episode.task.id for episode in of_task}),
            "episodes": len(of_task),
            "successes": sum(episode.success for episode in of_task),
            "actions": sum(episode.env_steps for episode in of_task),
        }
        cells.append({"task": task, "experience": experience, **counts})
    return cells


def base_models(config: Config, tasks: TaskSets, folder: Path, tell: Tell) -> Path:
    """The folder of the base models, made where they are not yet there; runs at once wait for whoever makes them.

    The warm start draws from the run's seed: it is part of the replication, and all arms of a seed begin from one pair of models.
    """
    key = base_key(config, tasks)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{key}.lock"):
        recover(folder)
        if not (folder / key).is_dir():
            tell(f"base models {key}: warm start")
            write_atomically(folder / key, lambda place: warm_start(config, tasks, place))
    return folder / key


def base_key(config: Config, tasks: TaskSets) -> str:
    """Digest of all that the warm start reads: arms that differ elsewhere begin from the same models."""
    values = config.model_dump(
        mode="json",
        include={
            "run": {"seed", "device", "torch_threads"},
            "tasks": True,
            "envs": True,
            "models": True,
            "warm_start": True,
            "rollout": {"sampling", "live_episodes"},
            "actor": {"prompts", "inject", "ask"},
            "bank": {"scope", "max_entry_chars"},
            "extractor": {"prompts": True, "distil": {"max_operations", "transcript_turns"}},
            "learn": {role: {"optimizer": {"micro_batch_tokens"}} for role in ("actor", "extractor")},
        },
    )
    return digest([values, tasks.digest, code_digest(idle=IDLE_ROOMS)])


def panel_digest(config: Config, levels: Sequence[Task]) -> str:
    """Digest of what every figure of a study is measured on: the levels, how they are played, and the code that plays them."""
    settings = config.model_dump(mode="json", include=PANEL_SETTINGS)
    return digest([settings, [astuple(task) for task in levels], code_that_plays(config, levels, guided=True)])


def _same_run(run: StudyRun, played: dict) -> None:
    """Write down what is played. Raises ConfigError where the folder holds a run of something else."""
    file = run.folder / "run.json"
    if not file.exists():
        write_json(file, played)
    known, now = dict(flatten(read_json(file))), dict(flatten(json.loads(json.dumps(played))))
    if other := sorted(name for name in known.keys() | now.keys() if known.get(name) != now.get(name)):
        told = "; ".join(f"{name} = {now.get(name)!r}, begun with {known.get(name)!r}" for name in other[:4])
        raise ConfigError(
            f"{run.folder}: {told}. One run is one set of parameters and one state of the code. Remedy: go on with the commit "
            f"that began it, or remove the folder to begin it anew"
        )
