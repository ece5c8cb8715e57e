"""Rounds in which the extractor's learning goes wrong, for real: at a learning rate that loses the syntax at once."""

import asyncio
from pathlib import Path

import pytest

from crl.config import Config
from crl.round.commit import reports
from crl.round.report import RoundReport
from crl.round.state import latest_state
from crl.types import Episode
from tests.round import runs

RUINOUS = [
    "learn.extractor.optimizer.lr=0.3", "learn.extractor.kl_coef=0", "learn.extractor.guard.fall=0.25",
    "learn.extractor.guard.replies=20", "learn.extractor.max_staleness=2", "extractor.distil.source=all",
]  # fmt: skip


@pytest.fixture(scope="module")
def ruined() -> Config:
    return runs.small_config("lockstep", 5, *RUINOUS)


@pytest.fixture(scope="module")
def whole(ruined: Config, models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[RoundReport]]:
    """Where it was played without interruption, and what its rounds told."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "models").symlink_to(models)
    return folder, asyncio.run(runs.play(ruined, folder))


def test_after_a_collapse_the_extractor_writes_valid_replies_again(whole: tuple[Path, list[RoundReport]]) -> None:
    _, told = whole
    valid = [report.metrics["distil/valid_share"] for report in told]
    [collapsed, *_] = [i for i, report in enumerate(told) if report.metrics.get("extractor/guard_taken_back")]
    assert valid[collapsed] < 0.1 < 0.2 < valid[collapsed + 1]
    assert "the extractor's last update was taken back" in told[collapsed].learned
    versions = [report.metrics["extractor/version"] for report in told if "extractor/version" in report.metrics]
    assert versions == sorted(set(versions))
    stale = [report.metrics["extractor/staleness_max"] for report in told if "extractor/samples" in report.metrics]
    assert all(each <= 2 for each in stale)


def test_a_run_left_with_an_update_on_trial_goes_on_to_the_same_bytes(
    ruined: Config, whole: tuple[Path, list[RoundReport]], folder: Path
) -> None:
    async def play_one_and_leave() -> bool:
        run = runs.open_run(ruined, folder)
        try:
            return bool((await run.play_round()).closing) or run.next_round == ruined.rounds.count
        finally:
            await run.close()

    while not asyncio.run(play_one_and_leave()):
        pass
    assert runs.digests(folder) == runs.digests(whole[0])


def test_in_async_a_collapse_is_taken_back_beside_the_rollouts(folder: Path) -> None:
    config = runs.small_config("async", 6, *RUINOUS, "learn.extractor.guard.replies=8")
    asyncio.run(runs.play(config, folder))
    told = reports(latest_state(folder / "run"))  # with the closing one: the last judgement may be there
    assert any(report.metrics.get("extractor/guard_taken_back") for report in told)
    assert all(report.metrics.get("extractor/staleness_max", 0) <= 2 for report in told)


def test_a_probes_showings_are_told_apart_from_what_situations_ask_for(folder: Path) -> None:
    config = runs.small_config("lockstep", 3, "extractor.probe_pairs=1", "extractor.reward=probe", "rollout.groups=4")

    async def play() -> None:
        run = runs.open_run(config, folder)
        probed = 0
        while run.next_round < run.rounds_total:
            report = await run.play_round()
            probed += report.metrics.get("extractor/probes", 0)
            groups = {group for probe in run.probes.now for group in (probe.own, probe.other)}
            guided = sum(isinstance(end, Episode) and end.guided for end in run.ends)
            if report.round >= config.rounds.bank_warmup:
                assert report.metrics["retrieve/queries"] == guided - 4 * len(groups)
            uses = [use for use in run.parts.bank.ledger.uses() if use.round == report.round]
            assert not groups & {use.group for use in uses}
        assert probed > 0
        assert sum(map(len, run.progress.memorised.values())) == probed
        await run.close()

    asyncio.run(play())
