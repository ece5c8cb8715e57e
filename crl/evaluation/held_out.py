"""Held-out evaluation: before and after training, with and without experience, on levels fixed by their seeds.

All four cells play the same levels with the same random streams, so differences are paired. "Before" is the base actor,
guided by what the base extractor had distilled when the bank's warm-up ended; "after" is the trained actor with the final bank.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from crl.actor.gate import success_records
from crl.bank.retrieval import Retriever
from crl.bank.snapshot import FrozenBank
from crl.config import Config
from crl.embedding.open import open_embedder
from crl.embedding.protocol import Embedder
from crl.engine.open import open_engine
from crl.envs.hosting.pool import EnvPool
from crl.episode.many import play_all, stop_if_too_many_failed
from crl.episode.plan import EpisodeSpec
from crl.episode.player import Player
from crl.episode.recollections import read_recollections
from crl.episode.transcripts import Transcript, sample, transcript
from crl.errors import DataError
from crl.evaluation.statistics import ARMS, PHASES, Arm, EpisodeRow, EvaluationSummary, summarise
from crl.files import round_folder, rounds_in
from crl.lockstep import Turnstile
from crl.types import Episode, EpisodeKey, Task

FREE, GUIDED = ARMS
EVALUATION_ROUND = -2  # no training stream has a negative round, so evaluation never draws from one
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Candidate:
    """What one phase evaluates: an actor and the bank that guides it (None: nothing is known yet)."""

    phase: str
    actor: Path
    extractor: Path  # answers the ask tool
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
    embedder = open_embedder(config)
    rows: list[EpisodeRow] = []
    transcripts: list[Transcript] = []
    for candidate in candidates:
        for arm, episodes in asyncio.run(play_phase(config, tasks, candidate, embedder, progress)).items():
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


async def play_phase(
    config: Config,
    tasks: Sequence[Task],
    candidate: Candidate,
    embedder: Embedder,
    progress: Progress = lambda what, done, of: None,
    arms: Sequence[Arm] = ARMS,
) -> dict[str, list[Episode]]:
    """Both arms (or the first alone) over all levels, in lockstep whatever the training schedule was, so that figures repeat.

    vLLM cannot be stepped in lockstep: with it tokens still follow the seeds, up to the last bits of its logits.

    The guided arm has the gate and the ask tool where training has them; the gate is told how the free arm did.
    """
    turnstile = Turnstile() if config.engine.declared.lockstep else None
    live = min(len(tasks) * config.evaluate.episodes_per_level, config.rollout.live_episodes)
    with ExitStack() as stack:
        _, chat, engine = open_engine(config, "actor", str(candidate.actor), sessions=live, turnstile=turnstile)
        stack.callback(engine.close)
        pool = stack.enter_context(EnvPool(config.envs))
        open_player = partial(
            Player, config, "evaluate", engine, chat, pool, turnstile=turnstile,
            temperature=config.evaluate.temperature,
        )  # fmt: skip
        free = await _play_arm(open_player(), tasks, candidate, FREE, live, progress)
        if GUIDED not in arms:
            return {FREE: free}
        guidance = {}
        if candidate.bank is not None:
            bank = FrozenBank(candidate.bank, embedder.name)
            retriever = Retriever(bank, config.retrieval, embedder, seed=config.run.seed, turnstile=turnstile)
            stack.callback(retriever.close)
            guidance = {
                "retriever": retriever, "records": success_records((e.task.name, e.success) for e in free),
                "guidance": config.actor.guidance, "recollections": read_recollections(config.actor, candidate.bank),
            }  # fmt: skip
            if config.actor.ask.enabled:
                source = str(candidate.extractor)
                _, expert_chat, expert = open_engine(config, "extractor", source, sessions=live, turnstile=turnstile)
                stack.callback(expert.close)
                guidance["expert"] = expert, expert_chat
        guided = await _play_arm(open_player(**guidance), tasks, candidate, GUIDED, live, progress)
        return {FREE: free, GUIDED: guided}


async def _play_arm(
    player: Player, tasks: Sequence[Task], candidate: Candidate, arm: str, live: int, progress: Progress
) -> list[Episode]:
    specs = [
        EpisodeSpec(EpisodeKey(EVALUATION_ROUND, group, index), task, guided=arm == GUIDED)
        for group, task in enumerate(tasks)
        for index in range(player.config.evaluate.episodes_per_level)
    ]

    def tell(_, ended: int) -> None:
        progress(f"{candidate.phase}, {arm}", ended, len(specs))

    ends = await play_all(player, specs, live=live, on_end=tell)
    stop_if_too_many_failed(ends, player.config.rollout.max_failed_share)
    return [end for end in ends if isinstance(end, Episode)]


def candidates(before: Path, after: Path, snapshots: Path, warmup_rounds: int) -> tuple[Candidate, ...]:
    """The two phases of a run, see the module's text. `before` and `after` hold `actor/` and `extractor/`.

    Raises DataError when the run has left no snapshot.
    """
    rounds = rounds_in(snapshots)
    if not rounds:
        raise DataError(f"{snapshots}: no snapshot of a bank. Remedy: run the stage co_evolve (`dvc repro co_evolve`)")
    first = round_folder(snapshots, min(max(warmup_rounds - 1, 0), rounds[-1]))
    banks = first, round_folder(snapshots, rounds[-1])
    return tuple(
        Candidate(phase, models / "actor", models / "extractor", bank)
        for phase, models, bank in zip(PHASES, (before, after), banks, strict=True)
    )
