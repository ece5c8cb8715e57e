"""Plays the attempts of the pass@k stage: by the base model, or by a family's scripted attempts.

A scripted attempt is not a model: its family picks, with a seeded skill that varies from attempt to attempt, whether it does
the right thing. It lets the whole path run where no capable model can be had, and is named `scripted` wherever it shows.
"""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import torch

from crl.config import Config
from crl.engine.open import open_engine
from crl.engine.spoken import Speaker, SpokenEngine
from crl.envs.hosting.pool import EnvPool
from crl.envs.registry import family_class
from crl.episode.many import play_all
from crl.episode.plan import EpisodeSpec
from crl.episode.player import Player
from crl.episode.spectators import Spectator
from crl.episode.tally import Progress, Tally
from crl.errors import ConfigError, RunStopped
from crl.evaluation.pass_rate import ROUND, Attempt, AttemptLog
from crl.models.chat import ChatFormat
from crl.models.resolve import load_model, stops_of
from crl.seeding import derive_seed, stream
from crl.types import Episode, EpisodeFailure, EpisodeKey, Task

_ROOM = 10**9  # tokens; an attempt's lines are said whatever the context holds


def try_tasks(config: Config, tasks: Sequence[Task], actor: Path, log: AttemptLog, progress: Progress) -> None:
    """Play what the log lacks of each task's attempts. Raises RunStopped when infrastructure keeps losing some."""
    torch.set_num_threads(config.run.torch_threads)
    wanted = [
        EpisodeSpec(EpisodeKey(ROUND, group, attempt), task, guided=False)
        for group, task in enumerate(tasks)
        for attempt in range(config.pass_rate.attempts)
    ]
    for _ in range(config.pass_rate.infrastructure_retries + 1):
        missing = [spec for spec in wanted if (spec.task.id, spec.key.index) not in log]
        if not missing:
            return
        failures = asyncio.run(_play(config, missing, actor, log, progress, len(wanted)))
    if failures:
        raise RunStopped(
            f"{len(failures)} attempts were lost to infrastructure {config.pass_rate.infrastructure_retries + 1} times, the "
            f"last by {failures[0].cause}: {failures[0].detail}. Remedy: mend the cause and run the same command; "
            f"{len(log)} attempts are kept"
        )


async def _play(
    config: Config, specs: Sequence[EpisodeSpec], actor: Path, log: AttemptLog, progress: Progress, total: int
) -> list[EpisodeFailure]:
    live = min(len(specs), config.rollout.live_episodes)
    engine, chat, envs = _policy(config, specs, actor, live)
    progress.follow(tally := Tally("attempts", specs, engine, before=total - len(specs)))
    with closing(engine), EnvPool(envs) as pool:
        player = Player(config, "pass-rate", engine, chat, pool, spectators=(_Keeper(log), tally))
        ends = await play_all(player, specs, live=live)
    return [end for end in ends if isinstance(end, EpisodeFailure)]


class _Keeper(Spectator):
    """Keeps each attempt as soon as it ends."""

    def __init__(self, log: AttemptLog) -> None:
        self._log = log

    def ended(self, end: Episode | EpisodeFailure) -> None:
        if isinstance(end, Episode):
            self._log.add(Attempt.of(end))


def _policy(config: Config, specs: Sequence[EpisodeSpec], actor: Path, live: int):
    if config.pass_rate.policy == "actor":
        _, chat, engine = open_engine(config, "actor", str(actor), sessions=live, turnstile=None)
        return engine, chat, config.envs
    model, tokenizer = load_model(str(actor), config.models.actor.dtype, "cpu")
    chat = ChatFormat(tokenizer, stops_of(model), config.models.actor.template_arguments)
    by_key = {str(spec.key): spec for spec in specs}
    envs = config.envs.model_copy(update={"observation": "grid"})  # scripts write full actions
    return SpokenEngine(lambda key: _scripted(config.run.seed, by_key[key]), chat, _ROOM), chat, envs


def _scripted(seed: int, spec: EpisodeSpec) -> Speaker:
    """What a session says: its family's scripted attempt, action by action."""
    task, attempt = spec.task, spec.key.index
    family = family_class(task.family)
    if not hasattr(family, "scripted_attempt"):
        raise ConfigError(f"pass_rate.policy = 'scripted': {task.family} has no scripted attempts. Remedy: use 'actor'")
    skill = float(stream(seed, "skill", task.id, attempt).random())
    lines = iter(family.scripted_attempt(task, derive_seed(seed, "attempt", task.id, attempt), skill))
    return lambda heard: next(lines, "")  # whatever it hears; after the last line nothing, which is no action
