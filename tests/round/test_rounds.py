"""Rounds: reproducible in lockstep, resumable after a kill at any instant, overlapping in async."""

import asyncio
import hashlib
import math
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import Result
from safetensors import safe_open
from typer.testing import CliRunner

from benchmarks import advice
from crl.bank.records import Kind
from crl.cli import bank, main
from crl.episode.tally import Tally
from crl.errors import BankError, RunStopped
from crl.files import digest_folder, round_folder
from crl.models.resolve import load_model
from crl.round.commit import reports
from crl.round.hooks import Hooks
from crl.round.report import RoundReport
from crl.round.rollback import forget_after
from crl.round.state import StateFolder, latest_state
from crl.spans import SPANS
from crl.types import EpisodeFailure, FailureCause
from tests.round import runs

PROGRAM = Path(runs.__file__)
LORA = [f"learn.{role}.lora.rank=4" for role in ("actor", "extractor")]


@pytest.fixture(scope="module")
def played(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run of four rounds has ended."""
    where = tmp_path_factory.mktemp("uninterrupted")
    (where / "models").symlink_to(models)
    asyncio.run(runs.play(runs.small_config(), where))
    return where


@pytest.fixture(scope="module")
def uninterrupted(played: Path) -> dict[str, str]:
    return runs.digests(played)


def test_the_same_seed_gives_the_same_bytes_whoever_looks_on(folder: Path, uninterrupted: dict[str, str]) -> None:
    hooks = Hooks(follow=(tallies := []).append, journal=True)
    reports = asyncio.run(runs.play(runs.small_config(), folder, hooks=hooks))
    assert runs.digests(folder) == uninterrupted
    _said_what_was_played(folder, reports, tallies)
    for role in ("actor", "extractor"):  # else equal bytes would show nothing
        assert any(report.metrics.get(f"{role}/grad_norm", 0) > 0 for report in reports), f"the {role} never moved"


def _said_what_was_played(folder: Path, reports: list[RoundReport], tallies: list[Tally]) -> None:
    """To those who followed the rounds, and in their journals."""
    for report, tally in zip(reports, tallies, strict=True):
        now, figures = tally.standing(), report.metrics
        assert now.ended == now.planned == figures["rollout/episodes"]
        assert now.tokens == figures["generate/tokens"]
        assert now.success["free"] == pytest.approx(figures["rollout/success_free"])
        told = CliRunner().invoke(main.app, ["watch", str(folder / "run"), "--round", str(report.round), "--no-follow"])
        assert len(re.findall(rf"^r{report.round}\.g\d+\.e\d  ", told.output, re.MULTILINE)) == now.ended
        assert told.output.count("\nsuccess after ") == round(figures["rollout/success"] * now.ended)


def test_another_seed_gives_other_bytes(folder: Path, uninterrupted: dict[str, str]) -> None:
    asyncio.run(runs.play(runs.small_config("lockstep", 4, "run.seed=8"), folder))
    assert runs.digests(folder) != uninterrupted


@pytest.mark.slow
def test_killed_at_random_instants_and_resumed_it_ends_with_the_same_bytes(
    folder: Path, uninterrupted: dict[str, str]
) -> None:
    chance, kills = random.Random(2026), 0
    command = [sys.executable, str(PROGRAM), str(folder), "lockstep", "4"]
    while kills < 4:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROGRAM.parents[2]) as process:
            # Now and then before the first commit, else at any moment after one more round is told.
            told = process.stdout.readline() if kills else ""
            time.sleep(chance.uniform(0.0, 0.5) if told else chance.uniform(2.0, 6.0))
            if told.startswith("done") or process.poll() is not None:
                break
            process.kill()
            kills += 1
    assert kills >= 2, "the run ended before it could be killed often enough to show anything"
    assert subprocess.run(command, cwd=PROGRAM.parents[2], capture_output=True, timeout=600).returncode == 0
    assert runs.digests(folder) == uninterrupted


def test_a_run_that_was_rolled_back_goes_on_with_that_rounds_bank_and_no_other_round_is_offered(
    played: Path, uninterrupted: dict[str, str], tmp_path: Path
) -> None:
    folder, config = Path(shutil.copytree(played, tmp_path / "copy", symlinks=True)), runs.small_config()
    state = StateFolder(latest_state(folder / "run"), "lineage")
    state.finish({})

    def roll_back(round_: int) -> Result:
        arguments = ["rollback", "--yes", "--run", str(folder / "run"), "--round", str(round_)]
        return CliRunner().invoke(bank.app, arguments)

    with pytest.raises(
        BankError, match=r"--round 0: .*no checkpoint of that round.*keep_checkpoints = 2.*--round 2 or 3"
    ):
        raise roll_back(0).exception
    assert runs.digests(folder) == uninterrupted
    assert "dvc repro -f -s co_evolve` goes on with round 3" in " ".join(roll_back(2).output.split())
    assert not state.finished.exists()
    run = runs.open_run(config, folder)
    snapshot = run.parts.bank.snapshot(tmp_path)
    assert (
        hashlib.file_digest((state.snapshots / "round_0002/bank.parquet").open("rb"), "sha256").hexdigest() == snapshot
    )
    asyncio.run(run.close())
    assert [report.round for report in asyncio.run(runs.play(config, folder))] == [3]
    assert runs.digests(folder) == uninterrupted
    assert roll_back(-1).exit_code == 0  # to nothing only where that was asked for
    run = runs.open_run(config, folder)
    assert (run.next_round, len(run.parts.bank)) == (0, 0)
    asyncio.run(run.close())


def test_async_rounds_train_on_every_round_once_and_stay_within_the_staleness_bound(folder: Path) -> None:
    config = runs.small_config("async", 5)
    reports = asyncio.run(runs.play(config, folder))
    assert [report.round for report in reports] == [0, 1, 2, 3, 4]
    trained = [report.metrics["actor/groups"] for report in reports if "actor/groups" in report.metrics]
    assert len(trained) == 3  # rounds 1 to 3 are trained on during the next; round 4's update is in `finish`
    assert all(report.metrics.get("actor/staleness_max", 0) <= config.learn.actor.max_staleness for report in reports)
    assert all(report.metrics.get("actor/stale_dropped", 0) == 0 for report in reports)


def test_async_distils_every_guided_episode_once_and_reports_it_whenever_it_ended(folder: Path) -> None:
    config = runs.small_config("async", 4)

    async def play() -> float:
        run = runs.open_run(config, folder)
        told = [await run.play_round() for _ in range(4)]
        told += [report] if (report := await run.finish()) else []
        assert run.progress.to_distil == ()
        await run.close()
        return sum(report.metrics["distil/completions"] for report in told)

    assert asyncio.run(play()) == 4 * 3 * 4  # rounds, groups, guided members


def test_the_last_rounds_updates_are_in_a_closing_report_once_however_often_the_end_is_killed(folder: Path) -> None:
    config = runs.small_config("async", 3)

    async def end() -> RoundReport | None:
        run = runs.open_run(config, folder)
        try:
            while run.next_round < run.rounds_total:
                await run.play_round()
            return await run.finish()
        finally:
            await run.close()

    closing = asyncio.run(end())
    assert (closing.round, closing.closing) == (3, True)
    assert closing.metrics["actor/groups"] == config.rollout.groups
    assert closing.metrics["time/round_s"] > 0
    assert repr(asyncio.run(end())) == repr(closing)  # by its text: a share of nothing is NaN
    told = reports(latest_state(folder / "run"))
    assert [report.round for report in told] == [0, 1, 2, 3]
    assert repr(told[-1]) == repr(closing)


def test_what_an_async_run_carries_beyond_its_last_round_belongs_to_that_round(folder: Path) -> None:
    config = runs.small_config("async", 3, "extractor.merge.every_rounds=2")  # a merge is due when round 2 ends

    async def play() -> None:
        run = runs.open_run(config, folder)
        while run.next_round < run.rounds_total:
            await run.play_round()
        await run.finish()
        events = list(run.parts.bank.ledger.events())
        assert max(event.round for event in events) == 2
        assert [event.round for event in events if event.kind is Kind.MERGE]
        assert max(entry.origin.round for entry in run.parts.bank.entries()) == 2
        await run.close()

    asyncio.run(play())


def test_an_async_run_goes_on_where_it_stopped_and_trains_what_it_carried_over(folder: Path) -> None:
    config = runs.small_config("async", 5)

    async def play_two_then_leave() -> int:
        run = runs.open_run(config, folder)
        for _ in range(2):
            await run.play_round()
        carried = len(run.progress.for_actor)
        await run.close()
        return carried

    carried = asyncio.run(play_two_then_leave())
    run = runs.open_run(config, folder)
    assert run.next_round == 2
    assert len(run.progress.for_actor) == carried > 0
    asyncio.run(run.close())
    assert [report.round for report in asyncio.run(runs.play(config, folder))] == [2, 3, 4]


def test_other_parameters_never_resume_from_this_state(folder: Path) -> None:
    asyncio.run(runs.play(runs.small_config("lockstep", 1), folder))
    run = runs.open_run(runs.small_config("lockstep", 2), folder)
    assert run.next_round == 0
    asyncio.run(run.close())


@pytest.mark.parametrize("schedule", ["lockstep", "async"])
def test_spans_add_up_to_the_rounds_wall_clock(schedule: str, folder: Path) -> None:
    for report in asyncio.run(runs.play(runs.small_config(schedule, 3), folder))[1:]:
        whole = report.metrics["time/round_s"]
        parts = sum(report.metrics[f"time/{span}_s"] for span in SPANS)
        assert math.isclose(parts, whole, rel_tol=0.05), f"{parts:.3f} of {whole:.3f} s"


def test_the_bank_agrees_with_its_ledger_after_a_run(folder: Path) -> None:
    config = runs.small_config("async", 4)
    asyncio.run(runs.play(config, folder))
    run = runs.open_run(config, folder)
    assert len(run.parts.bank) > 0
    assert run.parts.bank.verify() == []
    asyncio.run(run.close())
    rows = advice.shares(run.parts.state.path)
    assert sum(row["entries"] for row in rows.values()) > 0
    assert all(0 <= share <= 1 for row in rows.values() for name, share in row.items() if name != "entries")


def test_too_many_lost_episodes_stop_the_run_and_none_is_scored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from crl.round import coevolution

    async def lose_all(player, specs, **_) -> list[EpisodeFailure]:
        return [
            EpisodeFailure(spec.key, spec.task, spec.guided, FailureCause.ENV_CRASH, "the engine is gone", 3)
            for spec in specs
        ]

    monkeypatch.setattr(coevolution, "play_all", lose_all)
    with pytest.raises(RunStopped, match=r"24 of 24 episodes failed.*Remedy"):
        asyncio.run(runs.play(runs.small_config(), folder))


def test_a_complete_run_plays_nothing_again_until_what_it_put_out_is_stored(folder: Path) -> None:
    config = runs.small_config("lockstep", 1)
    asyncio.run(runs.play(config, folder))
    run = runs.open_run(config, folder)
    run.parts.state.finish({"plots/rounds.csv": "digest"})
    asyncio.run(run.close())
    before = runs.digests(folder)
    again = runs.open_run(config, folder)
    assert (again.next_round, len(again.parts.bank)) == (1, len(run.parts.bank))
    asyncio.run(again.close())
    assert runs.digests(folder) == before
    again.parts.state.mark_stored()
    anew = runs.open_run(config, folder)
    assert (anew.next_round, len(anew.parts.bank)) == (0, 0)
    asyncio.run(anew.close())


async def play_with_adapters(folder: Path, count: int) -> StateFolder:
    """`count` rounds from wherever the run stands; then it puts its actor out."""
    run = runs.open_run(runs.small_config("lockstep", 3, *LORA), folder)
    try:
        for _ in range(count):
            await run.play_round()
        run.parts.actor.export(folder / "put_out")
    finally:
        await run.close()
    return run.parts.state


def test_a_run_with_adapters_resumes_bit_for_bit_and_its_checkpoints_hold_no_base(folder: Path) -> None:
    state = asyncio.run(play_with_adapters(folder, 3))
    whole, put_out = runs.digests(folder), digest_folder(folder / "put_out")
    forget_after(state, 1)
    asyncio.run(play_with_adapters(folder, 1))
    assert runs.digests(folder) == whole
    assert digest_folder(folder / "put_out") == put_out

    last = round_folder(state.checkpoints, 2)
    moved = 0
    for role in ("actor", "extractor", "guard"):
        assert not (last / role / "model.safetensors").exists()
        with safe_open(last / role / "adapter_model.safetensors", "pt") as matrices:
            assert all(".lora_" in name for name in matrices.keys())  # noqa: SIM118  it is no dict
            moved += sum(bool(matrices.get_tensor(name).any()) for name in matrices.keys() if "lora_B" in name)  # noqa: SIM118
    assert moved  # the actor learned
    model, base = load_model(folder / "put_out")[0], load_model(folder / "models" / "actor")[0]
    assert model.state_dict().keys() == base.state_dict().keys()
