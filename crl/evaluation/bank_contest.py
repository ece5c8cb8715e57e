"""Two banks put to a paired test: one actor plays the held-out levels guided by the one, then by the other.

Both times with the same levels and the same random streams, so an episode in which both show the same is the same episode, and
what remains is the banks' doing. Retrieval exploits, as in every evaluation.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from crl.actor.gate import TaskRecord, success_records
from crl.config import Config
from crl.embedding.protocol import Embedder
from crl.episode.tally import SILENT, Progress
from crl.errors import ConfigError
from crl.evaluation.held_out import GUIDED, Candidate, Panel, rows_of
from crl.evaluation.paired import Paired, paired
from crl.types import Episode, Task


@dataclass(frozen=True)
class BankContest:
    """What came of it; the episodes of a side are in the order of the levels."""

    compared: tuple[Paired, ...]  # each task in order of name, `all` last
    old: tuple[Episode, ...]
    new: tuple[Episode, ...]

    @property
    def pairs(self) -> list[tuple[Episode, Episode]]:
        """Old and new of each episode that infrastructure lost on neither side."""
        old = {episode.key: episode for episode in self.old}
        return [(old[episode.key], episode) for episode in self.new if episode.key in old]

    @property
    def shown_differently(self) -> int:
        """In how many of the pairs the two banks showed different texts at the episode's beginning."""
        return sum(old.guidance.shown != new.guidance.shown for old, new in self.pairs)


def contest(
    config: Config, tasks: Sequence[Task], old: Candidate, new: Path, embedder: Embedder,
    progress: Progress = SILENT,
) -> BankContest:  # fmt: skip
    """The actor of `old` with its bank, and with `new`, another snapshot's folder. Raises as `guided_by` does."""
    banks = {"old bank": old.bank, "new bank": new}
    sides = guided_by(banks, config, tasks, old, embedder, progress=progress).values()
    rows = [rows_of(episodes, GUIDED, "after") for episodes in sides]
    return BankContest(paired(rows[1], rows[0], config), *map(tuple, sides))


def guided_by(
    banks: Mapping[str, Path], config: Config, tasks: Sequence[Task], agent: Candidate, embedder: Embedder,
    records: Mapping[str, TaskRecord] | None = None, progress: Progress = SILENT,
) -> dict[str, list[Episode]]:  # fmt: skip
    """All levels once per bank, a snapshot's folder by what the progress calls it, by the models of `agent`.

    `records`: how its actor did without experience, for the gate; where there is a gate and they are not known, the levels are
    played without experience first.

    Raises ConfigError where no bank guides episodes, DataError for a bank of another embedder, RunStopped when too many
    episodes fail.
    """
    if config.actor.guidance != "bank":
        raise ConfigError(
            f"actor.guidance = {config.actor.guidance!r}: no bank guides these episodes, so none can be tested. "
            "Remedy: actor.guidance: bank"
        )
    torch.set_num_threads(config.run.torch_threads)

    async def played() -> dict[str, list[Episode]]:
        with Panel(config, tasks, agent.actor, agent.extractor, embedder, progress) as panel:
            known = records
            if known is None:
                free = await panel.free("without experience") if config.actor.gate.enabled else []
                known = success_records((episode.task.name, episode.success) for episode in free)
            return {label: await panel.guided(label, bank, known) for label, bank in banks.items()}

    return asyncio.run(played())
