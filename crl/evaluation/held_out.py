"""Held-out evaluation: before and after training, with and without experience, on levels fixed by their seeds.

All four cells play the same levels with the same random streams, so differences are paired. "Before" is the base actor,
guided by what the base extractor had distilled when the bank's warm-up ended; "after" is the trained actor with the final bank.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Self

import torch

from crl.actor.gate import TaskRecord, success_records
from crl.bank.retrieval import Retriever
from crl.bank.snapshot_reader import FrozenBank
from crl.config import Config, Role
from crl.embedding.open import open_embedder
from crl.embedding.protocol import Embedder
from crl.engine.open import open_engine
from crl.engine.protocol import Engine
from crl.envs.hosting.pool import EnvPool
from crl.episode.many import play_all, stop_if_too_many_failed
from crl.episode.plan import EpisodeSpec
from crl.episode.player import Player
from crl.episode.recollections import read_recollections
from crl.episode.tally import SILENT, Progress, Tally
from crl.episode.transcripts import Transcript, sample, transcript
from crl.errors import DataError
from crl.evaluation.statistics import ARMS, PHASES, Arm, EpisodeRow, EvaluationSummary, Phase, summarise
from crl.files import round_folder, rounds_in
from crl.lockstep import Turnstile
from crl.models.chat import ChatFormat
from crl.types import Episode, EpisodeKey, Task

FREE, GUIDED = ARMS
EVALUATION_ROUND = -2  # no training stream has a negative round, so evaluation never draws from one


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
    progress: Progress = SILENT,
) -> EvaluationReport:
    """Play every cell and estimate. Raises RunStopped when too many episodes fail."""
    torch.set_num_threads(config.run.torch_threads)
    embedder = open_embedder(config)
    rows: list[EpisodeRow] = []
    transcripts: list[Transcript] = []
    for candidate in candidates:
        for arm, episodes in asyncio.run(play_phase(config, tasks, candidate, embedder, progress)).items():
            rows += rows_of(episodes, arm, candidate.phase)
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
    progress: Progress = SILENT,
    arms: Sequence[Arm] = ARMS,
) -> dict[str, list[Episode]]:
    """Both arms, or the first alone, over all levels. The gate of the guided arm is told how the free arm did."""
    with Panel(config, tasks, candidate.actor, candidate.extractor, embedder, progress) as panel:
        free = await panel.free(f"{candidate.phase}, {FREE}")
        if GUIDED not in arms:
            return {FREE: free}
        records = success_records((episode.task.name, episode.success) for episode in free)
        return {FREE: free, GUIDED: await panel.guided(f"{candidate.phase}, {GUIDED}", candidate.bank, records)}


class Panel:
    """The held-out levels, and an actor that plays them as often as it is asked: free, or guided by one bank or another.

    Each time all levels with the same random streams, in lockstep whatever the training schedule was, so that figures repeat.
    vLLM cannot be stepped in lockstep: with it tokens still follow the seeds, up to the last bits of its logits.

    Guided episodes have the gate and the ask tool where training has them.
    """

    def __init__(
        self, config: Config, tasks: Sequence[Task], actor: Path, extractor: Path, embedder: Embedder,
        progress: Progress = SILENT,
    ) -> None:  # fmt: skip
        """`extractor` answers the ask tool, and is opened where that is enabled."""
        self._config, self._embedder, self._progress = config, embedder, progress
        self._models = {"actor": str(actor), "extractor": str(extractor)}
        self._tasks = tasks
        self._live = min(len(tasks) * config.evaluate.episodes_per_level, config.rollout.live_episodes)
        self._turnstile = Turnstile() if config.engine.declared.lockstep else None

    def __enter__(self) -> Self:
        self._opened = ExitStack()
        with self._opened:  # until all of it is open
            chat, engine = self._open("actor")
            pool = self._opened.enter_context(EnvPool(self._config.envs))
            self._player = partial(
                Player, self._config, "evaluate", engine, chat, pool, turnstile=self._turnstile,
                temperature=self._config.evaluate.temperature,
            )  # fmt: skip
            self._opened = self._opened.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._opened.close()

    async def free(self, label: str) -> list[Episode]:
        """Without experience; `label` is what the progress says. Raises RunStopped when too many episodes fail."""
        return await self._play(label, self._player(), guided=False)

    async def guided(self, label: str, bank: Path | None, records: Mapping[str, TaskRecord]) -> list[Episode]:
        """By a snapshot's folder (None: nothing is known yet); `records` tell the gate how the actor does without.

        Raises RunStopped as `free` does, and DataError for a bank of another embedder.
        """
        if bank is None:
            return await self._play(label, self._player(), guided=True)
        config, frozen = self._config, FrozenBank(bank, self._embedder.name)
        retriever = Retriever(frozen, config.retrieval, self._embedder, seed=config.run.seed, turnstile=self._turnstile)
        with closing(retriever):
            player = self._player(
                retriever=retriever, records=records, guidance=config.actor.guidance,
                recollections=read_recollections(config.actor, bank),
                expert=self._expert if config.actor.ask.enabled else None,
            )  # fmt: skip
            return await self._play(label, player, guided=True)

    @cached_property
    def _expert(self) -> tuple[Engine, ChatFormat]:
        chat, engine = self._open("extractor")
        return engine, chat

    def _open(self, role: Role) -> tuple[ChatFormat, Engine]:
        _, chat, engine = open_engine(
            self._config, role, self._models[role], sessions=self._live, turnstile=self._turnstile
        )
        self._opened.callback(engine.close)
        return chat, engine

    async def _play(self, label: str, player: Player, *, guided: bool) -> list[Episode]:
        specs = [
            EpisodeSpec(EpisodeKey(EVALUATION_ROUND, group, index), task, guided=guided)
            for group, task in enumerate(self._tasks)
            for index in range(self._config.evaluate.episodes_per_level)
        ]

        self._progress.follow(tally := Tally(label, specs, player.engine))
        ends = await play_all(replace(player, spectators=(tally,)), specs, live=self._live)
        stop_if_too_many_failed(ends, self._config.rollout.max_failed_share)
        return [end for end in ends if isinstance(end, Episode)]


def rows_of(episodes: Iterable[Episode], arm: Arm, phase: Phase) -> list[EpisodeRow]:
    """As the statistics need them."""
    return [
        EpisodeRow(episode.task.name, episode.task.id, arm, phase, episode.success, episode.env_steps)
        for episode in episodes
    ]


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
