"""The arms of a study as real small runs: what each writes, shows and trains, also after a resume."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from crl.embedding.open import open_embedder
from crl.errors import ConfigError
from crl.evaluation.held_out import Candidate, play_phase
from crl.files import round_folder
from crl.round.coevolution import CoEvolution
from crl.round.report import RoundReport
from crl.tasks.sets import TaskSets
from crl.tiny.warm_start import warm_start
from crl.types import Episode, GateDecision
from tests.round import runs

LONG = "models.actor.context_tokens=2048"  # for a few transcripts


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config, folder = runs.small_config("lockstep", 1, LONG), tmp_path_factory.mktemp("models")
    warm_start(config, TaskSets.generate(config), folder)
    return folder


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    (tmp_path / "models").symlink_to(models)
    return tmp_path


async def play(
    folder: Path, arm: str, *more: str, rounds: int = 3, until: int | None = None
) -> tuple[list[RoundReport], list[list[Episode]], CoEvolution]:
    """Reports, each round's episodes, and the run, which is closed. `until`: it stops before that round."""
    config = runs.small_config("lockstep", rounds, f"+arm={arm}", LONG, *more)
    run, reports, episodes = runs.open_run(config, folder), [], []
    try:
        while run.next_round < (until or run.rounds_total):
            reports.append(await run.play_round())
            episodes.append([end for end in run.ends if isinstance(end, Episode)])
        return reports, episodes, run
    finally:
        await run.close()


def entries(run: CoEvolution, round_: int) -> bytes:
    return (round_folder(run.parts.state.snapshots, round_) / "bank.parquet").read_bytes()


async def test_grpo_plays_free_episodes_alone_and_learns_from_the_first_round(folder: Path) -> None:
    reports, episodes, _ = await play(
        folder, "grpo", "rounds.bank_warmup=0", rounds=2
    )  # a value beats the arm, and SMALL has one
    assert not any(episode.guided for round_ in episodes for episode in round_)
    assert [report.metrics["bank/size"] for report in reports] == [0, 0]
    assert all(report.metrics["distil/completions"] == 0 for report in reports)
    assert "actor/flat_share" in reports[0].metrics  # of an update: no round is spent on a bank


async def test_a_static_bank_is_filled_once_and_never_changes_again(folder: Path) -> None:
    fields = ["extractor.until_round=1", "extractor.merge.every_rounds=1"]
    reports, episodes, _ = await play(folder, "static_bank", *fields)
    assert [report.metrics["distil/completions"] > 0 for report in reports] == [True, False, False]
    sizes = [report.metrics["bank/size"] for report in reports]
    assert sizes[0] == sizes[1] == sizes[2] > 0
    assert not any("merge/calls" in report.metrics for report in reports)
    assert not any("extractor/grad_norm" in report.metrics for report in reports)
    assert any(one.guidance and one.guidance.shown for one in episodes[2])


async def test_a_frozen_extractor_goes_on_writing_and_never_learns(folder: Path) -> None:
    reports, _, _ = await play(folder, "frozen_extractor")
    assert all(report.metrics["distil/completions"] > 0 for report in reports)
    assert not any("extractor/grad_norm" in report.metrics for report in reports)
    assert any("actor/grad_norm" in report.metrics for report in reports)


async def test_with_the_bank_only_the_actor_stays_the_base_actor(folder: Path) -> None:
    reports, _, _ = await play(folder, "bank_only")
    assert not any("actor/grad_norm" in report.metrics for report in reports)
    assert reports[-1].metrics["bank/size"] > 0


async def test_long_context_shows_earlier_episodes_of_the_task_and_a_resumed_run_the_same(folder: Path) -> None:
    _, first, _ = await play(folder, "long_context", until=2)
    _, later, run = await play(folder, "long_context")
    shown = [one.guidance for one in later[0] if one.guided]
    assert {guidance.decision for guidance in shown} == {GateDecision.OFF}
    assert max(guidance.recalled for guidance in shown) > 1
    endings = Counter(f"{one.outcome} {one.turns[0].observation}" for round_ in first for one in round_)
    for guidance in shown:
        assert any(guidance.shown.startswith(ending) for ending in endings)
    assert not any(one.guidance for one in later[0] if not one.guided)

    (folder / "again").mkdir()
    (folder / "again/models").symlink_to(folder / "models")
    _, uninterrupted, _ = await play(folder / "again", "long_context")
    assert [one.guidance for one in uninterrupted[2]] == [one.guidance for one in later[0]]

    config = run.config
    candidate = Candidate(
        "after", folder / "models/actor", folder / "models/extractor", round_folder(run.parts.state.snapshots, 2)
    )
    levels = TaskSets.generate(config).evaluation[:2]
    played = await play_phase(config, levels, candidate, open_embedder(config))
    assert all(one.guidance.recalled for one in played["guided"])
    assert not any(one.guidance for one in played["free"])


def test_an_oracle_is_refused_where_a_family_has_none_before_anything_is_loaded(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"the family 'minihack' of tasks.mix.\w+ has no rule.*Remedy"):
        asyncio.run(play(folder, "oracle"))
