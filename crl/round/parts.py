"""The parts of a run, opened together and closed together."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from crl.actor.gate import TaskRecord
from crl.actor.legal import check_actions_fit
from crl.bank.bank import Bank
from crl.bank.projector import projector_of
from crl.bank.retrieval import Retriever
from crl.config import Config
from crl.embedding.open import open_embedder
from crl.embedding.protocol import CachedEmbedder
from crl.envs.hosting.pool import EnvPool
from crl.episode.guidance import check_oracles
from crl.episode.plan import RoundPlan
from crl.episode.player import Player
from crl.episode.recollections import Recollections
from crl.episode.spectators import Spectator
from crl.learn.buffer import TrainingBuffer
from crl.learn.crew import StartCrew
from crl.learn.guard import Guard
from crl.learn.learner import Elsewhere, Learner, open_learner
from crl.lockstep import Turnstile
from crl.round.state import StateFolder
from crl.types import Episode


@dataclass
class Parts:
    """What a round works with. One event loop owns all of it."""

    config: Config
    state: StateFolder
    actor: Learner
    extractor: Learner
    bank: Bank
    retriever: Retriever
    pool: EnvPool
    buffer: TrainingBuffer
    guard: Guard | None  # of the extractor; None: it does not learn, or nothing is taken back
    turnstile: Turnstile | None
    recollections: Recollections | None = None  # actor.guidance: transcripts

    @property
    def run_id(self) -> str:
        return self.state.lineage

    def learns_from(self, version: int) -> bool:
        """Whether the extractor still learns from what this version of its weights wrote."""
        bound = self.config.learn.extractor.max_staleness
        fresh = bound is None or self.extractor.version - version <= bound
        return fresh and not (self.guard is not None and self.guard.undid(version))

    def player(self, plan: RoundPlan, records: dict[str, TaskRecord], spectators: tuple[Spectator, ...] = ()) -> Player:
        """For one round: the gate is told how the actor did up to now."""
        actor, extractor = self.actor, self.extractor
        guidance = {
            "retriever": self.retriever, "records": records, "expert": (extractor.engine, extractor.chat),
            "guidance": self.config.actor.guidance, "recollections": self.recollections,
        }  # fmt: skip
        return Player(
            self.config, self.run_id, actor.engine, actor.chat, self.pool, turnstile=self.turnstile,
            spectators=spectators, **({} if plan.warming_up else guidance),
        )  # fmt: skip

    def remember(self, episodes: Iterable[Episode]) -> None:
        """Keep what later episodes are shown of these, where they are shown transcripts."""
        for episode in episodes if self.recollections else ():
            self.recollections.add(self.bank.scope_of(episode.task.name), episode)

    def snapshot(self, folder: Path) -> None:
        """All that guides an episode, as files."""
        self.bank.snapshot(folder)
        if self.recollections:
            self.recollections.save(folder)

    def busy_s(self) -> dict[str, float]:
        """Seconds so far in what a rollout waits for, by span."""
        return {"generate": self.actor.engine.busy_s, "retrieve": self.retriever.busy_s}

    @contextmanager
    def closed_if_it_fails(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.pool.close()
        self.retriever.close()
        self.actor.close()
        self.extractor.close()
        self.bank.close()


def open_parts(
    config: Config, state: StateFolder, actor: Path, extractor: Path, start_crew: StartCrew | None = None
) -> Parts:
    """Load the models, start the environments' processes, open the bank."""
    torch.set_num_threads(config.run.torch_threads)
    check_oracles(config)
    check_actions_fit(config)
    lockstep = config.run.schedule == "lockstep"
    turnstile = Turnstile() if lockstep else None
    # One cache for both: an episode's situation was embedded when it was looked up, and is the key of what it teaches.
    embedder = CachedEmbedder(open_embedder(config), config.retrieval.cache_entries)
    bank = Bank(
        state.path / "bank",
        config.bank,
        embedder,
        run_id=state.lineage,
        seed=config.run.seed,
        one_by_one=lockstep,
        max_operations=config.extractor.distil.max_operations,
        follow=projector_of(config, state.lineage),
    )
    retriever = Retriever(bank, config.retrieval, embedder, seed=config.run.seed, turnstile=turnstile)
    sessions, learning = config.rollout.live_episodes, config.learn.extractor
    opening = {"sessions": sessions, "turnstile": turnstile, "elsewhere": _elsewhere(state, start_crew)}
    learner = open_learner(config, "extractor", str(extractor), **opening)
    guarded = learning.guard.fall is not None and learner.trainer is not None
    return Parts(
        config=config,
        state=state,
        actor=open_learner(config, "actor", str(actor), **opening),
        extractor=learner,
        bank=bank,
        retriever=retriever,
        pool=EnvPool(config.envs),
        buffer=TrainingBuffer(learning),
        guard=Guard(learning.guard, learner) if guarded else None,
        turnstile=turnstile,
        recollections=Recollections(config.actor) if config.actor.guidance == "transcripts" else None,
    )


def _elsewhere(state: StateFolder, start_crew: StartCrew | None) -> Elsewhere | None:
    """With a folder beside the checkpoints, which nodes see, too; emptied of what a run left that was killed."""
    if start_crew is None:
        return None
    scratch = state.path.absolute() / "learners"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    return Elsewhere(start_crew, scratch)
