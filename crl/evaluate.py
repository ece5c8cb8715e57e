"""Held-out evaluation: before and after training, with and without experience, on levels fixed by their seeds.

All four cells play the same levels with the same random streams, so differences are paired. "Before" is the base actor,
guided by what the base extractor had distilled when the bank's warm-up ended; "after" is the trained actor with the final bank.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from crl.actor.prompts import ActorPrompts
from crl.bank.frozen import FrozenBank
from crl.bank.pretrained import load_embedder
from crl.bank.retrieval import Retriever
from crl.config import Config
from crl.envs.pool import EnvPool
from crl.learner import open_engine
from crl.rollout import Player, play_all, stop_if_too_many_failed
from crl.round_report import Transcript, sample, transcript
from crl.statistics import ARMS, PHASES, EpisodeRow, EvaluationSummary, summarise
from crl.tasks import EpisodeSpec
from crl.turnstile import Turnstile
from crl.types import Episode, EpisodeKey, Task

EVALUATION_ROUND = -2  # no training stream has a negative round, so evaluation never draws from one
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Candidate:
    """What one phase evaluates: an actor and the bank that guides it (None: nothing is known yet)."""

    phase: str
    actor: Path
    bank: Path | None


@dataclass(frozen=True)
class EvaluationReport:
    summary: EvaluationSummary
    rows: tuple[EpisodeRow, ...]
    transcripts: tuple[Transcript, ...]


def evaluate(
    config: Config,
    tasks: Sequence[Task],
    candidates: Sequence[Candidate],
    progress: Progress = lambda what, done, of: None,
) -> EvaluationReport:
    """Play every cell and estimate. Raises RunStopped when too many episodes fail."""
    torch.set_num_threads(config.run.torch_threads)
    rows: list[EpisodeRow] = []
    transcripts: list[Transcript] = []
    for candidate in candidates:
        for arm in ARMS:
            episodes = asyncio.run(play_cell(config, tasks, candidate, arm, progress))
            rows += [
                EpisodeRow(episode.task.name, episode.task.id, arm, candidate.phase, episode.success, episode.env_steps)
                for episode in episodes
            ]
            transcripts += [
                transcript(episode, candidate.phase) for episode in sample(episodes, config.record.transcripts)
            ]
    summary = summarise(
        rows, samples=config.evaluate.bootstrap_samples, confidence=config.evaluate.confidence, seed=config.run.seed
    )
    return EvaluationReport(summary, tuple(rows), tuple(transcripts))


async def play_cell(
    config: Config,
    tasks: Sequence[Task],
    candidate: Candidate,
    arm: str,
    progress: Progress = lambda what, done, of: None,
) -> list[Episode]:
    """One phase and arm over all levels, in lockstep whatever the training schedule was: figures must repeat."""
    turnstile = Turnstile()
    specs = list(_specs(config, tasks, guided=arm == "guided"))
    live = min(len(specs), config.rollout.live_episodes)
    _, chat, engine = open_engine(config, "actor", str(candidate.actor), sessions=live, turnstile=turnstile)
    retriever = None
    if arm == "guided" and candidate.bank is not None:
        embedder = load_embedder(config.models.embedder, config.run.device)
        bank = FrozenBank(candidate.bank, embedder.name)
        retriever = Retriever(bank, config.retrieval, embedder, seed=config.run.seed, turnstile=turnstile)
    done = 0

    def count(_) -> None:
        nonlocal done
        done += 1
        progress(f"{candidate.phase}, {arm}", done, len(specs))

    with EnvPool(config.envs) as pool:
        player = Player(
            config, "evaluate", engine, chat, ActorPrompts.of(config.actor), pool, retriever=retriever, turnstile=turnstile,
            temperature=config.evaluate.temperature,
        )  # fmt: skip
        ends = await play_all(player, specs, live=live, on_end=count)
    engine.close()
    if retriever is not None:
        retriever.close()
    stop_if_too_many_failed(ends, config.rollout.max_failed_share)
    return [end for end in ends if isinstance(end, Episode)]


def _specs(config: Config, tasks: Iterable[Task], guided: bool) -> Iterable[EpisodeSpec]:
    for group, task in enumerate(tasks):
        for index in range(config.evaluate.episodes_per_level):
            yield EpisodeSpec(EpisodeKey(EVALUATION_ROUND, group, index), task, guided)


def candidates(before: Path, after: Path, snapshots: Path, warmup_rounds: int) -> tuple[Candidate, ...]:
    """The two phases of a run: see the module's text."""
    from crl.checkpoint import round_folder, rounds_in

    rounds = rounds_in(snapshots)
    first = round_folder(snapshots, min(max(warmup_rounds - 1, 0), rounds[-1]))
    return Candidate(PHASES[0], before, first), Candidate(PHASES[1], after, round_folder(snapshots, rounds[-1]))
