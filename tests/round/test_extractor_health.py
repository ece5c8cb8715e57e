"""Rounds in which the extractor's learning goes wrong, for real: at a learning rate that loses the syntax at once."""

import asyncio
from pathlib import Path

import pytest

from tests.round import runs

RUINOUS = [
    "learn.extractor.optimizer.lr=0.3", "learn.extractor.kl_coef=0", "learn.extractor.guard.fall=0.25",
    "learn.extractor.guard.replies=20", "learn.extractor.max_staleness=2", "extractor.distil.source=all",
]  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.base_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    (tmp_path / "models").symlink_to(models)
    return tmp_path


def test_after_a_collapse_the_extractor_writes_valid_replies_again(folder: Path) -> None:
    reports = asyncio.run(runs.play(runs.small_config("lockstep", 5, *RUINOUS), folder))
    valid = [report.metrics["distil/valid_share"] for report in reports]
    [collapsed, *_] = [i for i, report in enumerate(reports) if report.metrics.get("extractor/guard_taken_back")]
    assert valid[collapsed] < 0.1 < 0.2 < valid[collapsed + 1]
    assert "the extractor's last update was taken back" in reports[collapsed].learned
    versions = [report.metrics["extractor/version"] for report in reports if "extractor/version" in report.metrics]
    assert versions == sorted(set(versions))
    stale = [report.metrics["extractor/staleness_max"] for report in reports if "extractor/samples" in report.metrics]
    assert all(each <= 2 for each in stale)


def test_a_run_left_with_an_update_on_trial_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    config = runs.small_config("lockstep", 5, *RUINOUS)
    asyncio.run(runs.play(config, folder))
    whole = runs.digests(folder)
    interrupted = tmp_path / "again"
    interrupted.mkdir()
    (interrupted / "models").symlink_to(folder / "models")

    async def play_one_and_leave() -> bool:
        run = runs.open_run(config, interrupted)
        try:
            return bool((await run.play_round()).closing) or run.next_round == config.rounds.count
        finally:
            await run.close()

    while not asyncio.run(play_one_and_leave()):
        pass
    assert runs.digests(interrupted) == whole


def test_in_async_a_collapse_is_taken_back_beside_the_rollouts(folder: Path) -> None:
    reports = asyncio.run(runs.play(runs.small_config("async", 6, *RUINOUS), folder))
    assert any(report.metrics.get("extractor/guard_taken_back") for report in reports)
    assert all(report.metrics.get("extractor/staleness_max", 0) <= 2 for report in reports)
