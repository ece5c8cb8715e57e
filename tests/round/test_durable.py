"""Checkpoints beside the next round's rollouts: what waits for them, and what a run has that ends before one is on disk."""

import asyncio
import errno
import threading
from pathlib import Path

import pytest

from crl.errors import DataError
from crl.files import digest_folder, rounds_in
from crl.round.coevolution import CoEvolution
from crl.round.report import RoundReport
from crl.round.state import latest_state
from tests.round import runs
from tests.waiting import until


class SlowDisk:
    """Holds the actor's next checkpoint back, and has no room for it in the end."""

    def __init__(self, run: CoEvolution) -> None:
        self.begun, self.full = threading.Event(), threading.Event()
        run.parts.actor.save = self._save

    def _save(self, folder: Path) -> None:
        self.begun.set()
        self.full.wait(600)
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))


async def interrupt(run: CoEvolution) -> list[int]:
    """Play a round that is on disk and one that never gets there; returns the rounds that were told of."""
    told: list[int] = []

    async def committed(report: RoundReport) -> None:
        told.append(report.round)

    await run.play_round()
    disk = SlowDisk(run)
    assert (await run.play_round(committed)).round == 1
    versions = [learner.version for learner in (run.parts.actor, run.parts.extractor)]
    third = asyncio.create_task(run.play_round(committed))
    await asyncio.to_thread(
        until, lambda: len(run.ends) == 24 and disk.begun.is_set(), "the third round's episodes end"
    )
    assert rounds_in(run.parts.state.checkpoints) == [0]
    disk.full.set()
    with pytest.raises(OSError, match="No space left"):
        await third
    assert [learner.version for learner in (run.parts.actor, run.parts.extractor)] == versions
    await run.close()
    return told


def test_a_run_is_closed_when_nobody_writes_any_more_and_a_damaged_checkpoint_undoes_nothing(folder: Path) -> None:
    config = runs.small_config("lockstep", 3)

    async def close_while_it_is_written() -> None:
        run = runs.open_run(config, folder)
        await run.play_round()
        disk = SlowDisk(run)

        async def nobody(report: RoundReport) -> None:
            raise AssertionError("it is not on disk")

        await run.play_round(nobody)
        closing = asyncio.create_task(run.close())
        await asyncio.to_thread(disk.begun.wait, 600)
        assert not closing.done()
        disk.full.set()
        await closing

    asyncio.run(close_while_it_is_written())
    state = latest_state(folder / "run")
    bank = digest_folder(state / "bank")
    weights = state / "checkpoints/round_0000/actor/model.safetensors"
    for damaged in (
        weights,
        state / "checkpoints/round_0000/progress.json",
        state / "checkpoints/round_0000/manifest.json",
    ):
        whole = damaged.read_bytes()
        damaged.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match=r"round_0000.*Remedy: bring .* back, or remove"):
            runs.open_run(config, folder)
        damaged.write_bytes(whole)
    assert digest_folder(state / "bank") == bank


@pytest.mark.parametrize("schedule", ["lockstep", "async"])
def test_nothing_is_learned_before_a_round_is_on_disk_and_a_run_goes_on_before_one_that_is_not(
    schedule: str, folder: Path, models: Path, tmp_path: Path
) -> None:
    config = runs.small_config(schedule, 3)
    assert asyncio.run(interrupt(runs.open_run(config, folder))) == []
    reports = asyncio.run(runs.play(config, folder))
    assert [report.round for report in reports] == [1, 2]
    if schedule == "lockstep":  # async gives no bytes twice
        (whole := tmp_path / "whole").mkdir()
        (whole / "models").symlink_to(models)
        asyncio.run(runs.play(config, whole))
        assert runs.digests(folder) == runs.digests(whole)
