"""A model that both acts and learns: the trainer's copy, the engine's copy, and the way between them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crl.config import Config
from crl.engine.open import open_engine
from crl.engine.protocol import Engine
from crl.errors import ConfigError
from crl.learn.crew import StartCrew
from crl.learn.diagnostics import mismatch_told
from crl.learn.group import LearnerGroup
from crl.learn.opening import load_learning, open_trainer
from crl.learn.protocol import Training
from crl.learn.sequences import WeightedSequence
from crl.lockstep import Turnstile
from crl.models.adapter import twin
from crl.models.chat import ChatFormat
from crl.models.resolve import load_model, save_model

# Mean |log-prob of the engine - the trainer's| on the same weights, in nats, that arithmetic explains. In bfloat16 rounding and
# kernels make about 0.01; dropout left on, or positions turned another way, ten times as much and more.
_EXPLAINED_NATS = {"float32": 1e-3, "bfloat16": 0.05}

log = logging.getLogger(__name__)


@dataclass
class Learner:
    """`version` counts updates: it names the weights that the engine samples from."""

    role: str  # "actor" | "extractor"
    tokenizer: Any
    chat: ChatFormat
    engine: Engine
    trainer: Training | None  # None: this model only acts
    source: str  # where the model was loaded from
    version: int = 0

    def update(self, batch: Sequence[WeightedSequence], steps: int) -> dict[str, float]:
        """Optimise on a batch; the engine keeps its weights until `sync`. May run in a thread.

        Logs a warning where the engine's log-probs are not the trainer's on weights that nobody changed; past
        `learn.<role>.max_mismatch` the trainer raises RunStopped instead, and changes nothing.
        """
        metrics = self.trainer.update(batch, steps=steps, version=self.version)
        explained = _EXPLAINED_NATS[self.trainer.dtype]
        if metrics.get("engine_mismatch_mean", 0.0) > explained:
            so = f"{self.trainer.dtype} explains {explained:.2g}, so ratios to them do not say what was learned"
            log.warning("%s: %s", self.role, mismatch_told(metrics, self.trainer.architecture, so))
        self.version += 1
        return {f"{self.role}/{name}": value for name, value in metrics.items()}

    def sync(self) -> float:
        """Give the engine the trainer's weights; returns seconds."""
        return self.engine.load_weights(self.trainer.weights(), self.version)

    def take_back(self) -> float:
        """Put weights and optimiser back that the trainer kept, as a new version that the engine samples from; returns seconds."""
        self.trainer.take_back()
        self.version += 1
        return self.sync()

    def save(self, folder: Path) -> None:
        """Weights and optimiser: with `version`, all that a resumed run needs."""
        if self.trainer is not None:
            self.trainer.save(folder)

    def committed(self, folder: Path) -> None:
        """What was saved last lies in `folder` for good, until another is named."""
        if self.trainer is not None:
            self.trainer.committed(folder)

    def load(self, folder: Path, version: int) -> None:
        if self.trainer is not None:
            self.trainer.load(folder)
            self.version = version
            self.sync()

    def export(self, folder: Path) -> None:
        """The model in Hugging Face format; of a model that does not learn, what it was loaded from.

        An adapter is merged into the weights, and stands in the subfolder `adapter` by itself, too.
        """
        if self.trainer is not None:
            self.trainer.export(self.tokenizer, folder)
        else:
            save_model(load_model(self.source)[0], self.tokenizer, folder)

    def close(self) -> None:
        self.engine.close()
        if self.trainer is not None:
            self.trainer.close()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where workers are that are not on this machine."""

    start: StartCrew
    scratch: Path  # a folder that all of them see; it exists


def open_learner(
    config: Config,
    role: str,
    source: str,
    *,
    sessions: int,
    turnstile: Turnstile | None,
    elsewhere: Elsewhere | None = None,
) -> Learner:
    """Load a model to sample from, again to train, and a third time where a KL term needs its reference.

    With an adapter all three are one: engine and trainer have the weights in common, unless the trainer has `workers`.
    """
    learning = config.role(role).learn
    group = _start_group(config, role, source, elsewhere) if learning.workers and not learning.freeze else None
    model = loaded = None
    if learning.adapter is not None:
        model, tokenizer = load_learning(config, role, source)
        loaded = twin(model, model.dtype), tokenizer
    tokenizer, chat, engine = open_engine(config, role, source, sessions=sessions, turnstile=turnstile, loaded=loaded)
    trainer = group.ready() if group is not None else None
    if group is None and not learning.freeze:
        trainer = open_trainer(config, role, model or load_learning(config, role, source)[0], source)
    return Learner(role, tokenizer, chat, engine, trainer, source)


def _start_group(config: Config, role: str, source: str, elsewhere: Elsewhere | None) -> LearnerGroup:
    if config.role(role).learn.placed == "here":
        return LearnerGroup(config, role, source)
    if elsewhere is None:
        raise ConfigError(
            f"learn.{role}.placed = 'ray': this command opens no cluster. Remedy: play it by the flow co_evolve, or "
            f"learn.{role}.placed: here"
        )
    return LearnerGroup(config, role, source, elsewhere.start, elsewhere.scratch)
