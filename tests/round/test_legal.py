"""A run whose replies are legal: untrained models act at once, learn, and go on after a stop with the same bytes."""

import asyncio
from pathlib import Path

import pytest

from crl.round.report import RoundReport
from crl.tasks.sets import TaskSets
from crl.tiny.warm_start import warm_start
from crl.types import Episode, TurnKind
from tests.round import runs

LEGAL = (
    "+arm=grpo", "rounds.bank_warmup=0", "actor.replies=legal", "learn.actor.kl_coef=0.1", "envs.workers=0",
    "~tasks.mix", "+tasks.mix={room: {family: minihack, level: MiniHack-Room-Dark-5x5-v0, max_steps: 8}}",
)  # fmt: skip
UNTRAINED = ("warm_start.actor_steps=0", "warm_start.extractor_steps=0", "warm_start.episodes_per_task=1")


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config, folder = runs.small_config("lockstep", 2, *LEGAL, *UNTRAINED), tmp_path_factory.mktemp("untrained")
    warm_start(config, TaskSets.generate(config), folder)
    return folder


async def play(folder: Path, stop_after: int | None = None) -> tuple[list[RoundReport], list[Episode]]:
    """Two rounds, or what is missing of them."""
    run, reports, episodes = runs.open_run(runs.small_config("lockstep", 2, *LEGAL), folder), [], []
    try:
        while run.next_round < (stop_after or run.rounds_total):
            reports.append(await run.play_round())
            episodes += run.ends
        return reports, episodes
    finally:
        await run.close()


def test_it_acts_learns_and_is_the_same_run_after_a_stop(untrained: Path, tmp_path: Path) -> None:
    def folder(name: str) -> Path:
        (tmp_path / name).mkdir()
        (tmp_path / name / "models").symlink_to(untrained)
        return tmp_path / name

    (first, _), episodes = asyncio.run(play(folder("whole")))
    assert {turn.kind for episode in episodes for turn in episode.turns} == {TurnKind.ACTION}
    assert first.metrics["actor/grad_norm"] > 0
    assert first.metrics["actor/ratio_max"] == pytest.approx(1.0, abs=1e-4)
    assert first.metrics["actor/engine_mismatch_max"] < 1e-4
    assert first.metrics["actor/reference_kl"] == pytest.approx(0.0, abs=1e-7)
    asyncio.run(play(folder("stopped"), stop_after=1))
    asyncio.run(play(tmp_path / "stopped"))
    assert runs.digests(tmp_path / "stopped") == runs.digests(tmp_path / "whole")
