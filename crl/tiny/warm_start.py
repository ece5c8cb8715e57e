"""The warm start: tiny models learn to act on scripted play and to write valid operations, before anything co-evolves.

The actor sees advised episodes (told a strategy, it is played) and unadvised ones (a spontaneous strategy is
played): afterwards it follows advice, and plays mediocre without. The extractor sees random valid
operations with strategies drawn uniformly: it can write, and does not know yet what helps. Named models skip all this.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from crl.config import Config
from crl.config.learn import AdamConfig
from crl.engine.spoken import SpokenEngine
from crl.envs.hosting.pool import EnvPool
from crl.episode.many import play_all, stop_if_too_many_failed
from crl.episode.plan import EpisodeSpec
from crl.episode.plan import draw as draw_task
from crl.episode.player import Player
from crl.episode.tally import SILENT, Progress, Tally
from crl.errors import DataError
from crl.learn.objectives import SupervisedObjective
from crl.learn.sequences import WeightedSequence, completion_sequence, episode_sequence
from crl.learn.trainer import Trainer
from crl.models.chat import ChatFormat, fix_date
from crl.models.context import check_context
from crl.models.resolve import load_model, save_model
from crl.seeding import derive_seed, stream
from crl.tasks.sets import TaskSets
from crl.tiny.casting import Cast, Casting, casts
from crl.tiny.corpus import texts
from crl.tiny.model import build_model
from crl.tiny.taught_replies import random_exchange
from crl.tiny.tokenizer import train_tokenizer
from crl.types import Completion, Episode, EpisodeKey


def warm_start(config: Config, tasks: TaskSets, folder: Path, progress: Progress = SILENT) -> dict[str, float]:
    """Write `folder/actor` and `folder/extractor` in Hugging Face format; returns metrics.

    Raises DataError for models that cannot be had, ConfigError for a context longer than the model's.
    """
    torch.set_num_threads(config.run.torch_threads)
    metrics: dict[str, float] = {}
    school = None  # scripted play, for models from scratch only
    for role, learn in (("actor", _learn_to_act), ("extractor", _learn_to_write)):
        model_config = config.role(role).model
        if model_config.source == "scratch":
            school = school or School.of(config, tasks, progress)
            model = build_model(model_config, school.tokenizer, derive_seed(config.run.seed, "weights", role))
            metrics |= learn(config, school, model, progress)
            save_model(model, school.tokenizer, folder / role)
        else:
            model, tokenizer = load_model(model_config.source, model_config.dtype, "cpu")
            check_context(role, model_config.source, model.config.to_dict(), model_config.context_tokens)
            fix_date(tokenizer)
            save_model(model, tokenizer, folder / role)
    return metrics


@dataclass(frozen=True)
class School:
    """What scratch models are taught from."""

    casts: Mapping[str, Cast]
    tokenizer: Any
    episodes: Sequence[Episode]  # scripted

    @classmethod
    def of(cls, config: Config, tasks: TaskSets, progress: Progress) -> "School":
        """Raises DataError where an action does not fit into a reply."""
        parts = casts(config, tasks)
        tokenizer = train_tokenizer(texts(config, parts), config.models.vocab_size)
        chat = ChatFormat(tokenizer)
        _check_actions_fit(config, parts, chat)
        return cls(parts, tokenizer, scripted_episodes(config, tasks, parts, chat, progress))


def _learn_to_act(config: Config, school: School, model, progress: Progress) -> dict[str, float]:
    episodes = school.episodes
    sequences = [WeightedSequence(episode_sequence(episode), 1.0) for episode in episodes]
    metrics = _fit(config, model, sequences, config.warm_start.actor_steps, "actor", progress)
    for arm in (True, False):
        of_arm = [episode for episode in episodes if episode.guided is arm]
        for name in ("", *school.casts):
            chosen = [episode.success for episode in of_arm if name in ("", episode.task.name)]
            if chosen:
                label = f"{name}_" if name else ""
                metrics[f"warm_start/{label}scripted_success_{'advised' if arm else 'free'}"] = sum(chosen) / len(
                    chosen
                )
    return metrics | {"warm_start/episodes": float(len(episodes))}


def scripted_episodes(
    config: Config, tasks: TaskSets, parts: Mapping[str, Cast], chat: ChatFormat, progress: Progress
) -> list[Episode]:
    """Scripted play on training instances, through the one episode loop; none of entries that are only evaluated."""
    seed, settings = config.run.seed, config.warm_start
    specs = [
        EpisodeSpec(
            EpisodeKey(-1, group, index),
            draw_task(tasks.train[name], seed, "warm", name, index),
            stream(seed, "advised", name, index).random() < settings.advised_share,
        )
        for group, name in enumerate(parts)
        if config.tasks.mix[name].weight
        for index in range(settings.episodes_per_task)
    ]
    casting = Casting(seed, parts, {str(spec.key): spec for spec in specs})

    async def play() -> list:
        with EnvPool(config.envs) as pool:
            engine = SpokenEngine(casting.speaker, chat, config.models.actor.context_tokens)
            progress.follow(tally := Tally("scripted play", specs, engine))
            player = Player(config, "warm-start", engine, chat, pool, retriever=casting, spectators=(tally,))
            return await play_all(player, specs, live=config.rollout.live_episodes)

    ends = asyncio.run(play())
    stop_if_too_many_failed(ends, 0.0)
    return ends


def _learn_to_write(config: Config, school: School, model, progress: Progress) -> dict[str, float]:
    chat, rng = ChatFormat(school.tokenizer), stream(config.run.seed, "operations")
    episodes: dict[str, list[Episode]] = defaultdict(list)
    for episode in school.episodes:
        episodes[episode.task.name].append(episode)
    sequences = []
    for index in range(min(4096, config.warm_start.extractor_steps * config.warm_start.batch_size)):
        messages, reply = random_exchange(config, episodes, school.casts, rng)
        ids = chat.encode(reply) + chat.closing
        completion = Completion(f"warm/{index}", chat.open(messages), ids, (0.0,) * len(ids), reply, "stop", 0)
        sequences.append(WeightedSequence(completion_sequence(completion), 1.0))
    return _fit(config, model, sequences, config.warm_start.extractor_steps, "extractor", progress)


def _fit(
    config: Config, model, sequences: Sequence[WeightedSequence], steps: int, role: str, progress: Progress
) -> dict[str, float]:
    """Cross entropy with a cosine schedule after a short linear rise; batches in seeded order."""
    settings, rng = config.warm_start, stream(config.run.seed, "batches", role)
    adam = AdamConfig(lr=settings.lr, micro_batch_tokens=config.role(role).learn.optimizer.micro_batch_tokens)
    trainer = Trainer(model, adam, SupervisedObjective(), device=config.run.device)
    order: list[int] = []
    metrics: dict[str, float] = {}
    for step in range(steps):
        if len(order) < settings.batch_size:
            order += rng.permutation(len(sequences)).tolist()
        batch = [sequences[i] for i in order[: settings.batch_size]]
        del order[: settings.batch_size]
        rise = min(1.0, (step + 1) / max(1, steps // 20))
        metrics = trainer.update(batch, lr_scale=rise * 0.5 * (1 + math.cos(math.pi * step / steps)))
        progress(f"{role} warm start", step + 1, steps)
    return {f"warm_start/{role}_loss": metrics["loss"]} if metrics else {}


def _check_actions_fit(config: Config, parts: Mapping[str, Cast], chat: ChatFormat) -> None:
    """An action that is cut by max_new_tokens is silently another one."""
    limit = config.rollout.sampling.max_new_tokens
    names = dict.fromkeys(name for cast in parts.values() for name in cast.script.actions)
    long = [name for name in names if len(chat.encode(name)) > limit]
    if long:
        raise DataError(
            f"models.vocab_size = {config.models.vocab_size}: the tokenizer splits {', '.join(long)} into more tokens than "
            f"rollout.sampling.max_new_tokens = {limit}. Remedy: raise either"
        )
