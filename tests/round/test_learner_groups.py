"""Rounds whose learners are groups of two workers, against rounds that learn in one process."""

import asyncio
from pathlib import Path

import pytest
from safetensors.torch import load_file

from crl.files import round_folder
from crl.learn.group import LearnerGroup
from crl.round.report import RoundReport
from crl.round.state import latest_state
from tests.round import runs

TWO = [f"learn.{role}.workers=2" for role in ("actor", "extractor")]


async def play(folder: Path, rounds: int, *more: str) -> list[RoundReport]:
    """From wherever the run of three rounds stands."""
    run = runs.open_run(runs.small_config("lockstep", 3, *more), folder)
    try:
        assert isinstance(run.parts.actor.trainer, LearnerGroup) is bool(more)
        return [await run.play_round() for _ in range(rounds)]
    finally:
        await run.close()


@pytest.mark.slow
def test_two_workers_for_each_role_learn_what_one_process_learns_and_it_goes_on_with_that(
    models: Path, tmp_path: Path
) -> None:
    for name in ("alone", "groups"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "models").symlink_to(models)
    alone = asyncio.run(play(tmp_path / "alone", 3))
    groups = asyncio.run(play(tmp_path / "groups", 2, *TWO))
    groups += asyncio.run(play(tmp_path / "groups", 1))
    updated = set()
    for one, two in zip(alone, groups, strict=True):
        assert two.metrics["rollout/success"] == one.metrics["rollout/success"]
        for role in ("actor", "extractor"):
            assert two.metrics.get(f"{role}/version") == one.metrics.get(f"{role}/version")
            if f"{role}/loss" in one.metrics:
                updated.add((role, one.round))
                assert two.metrics[f"{role}/loss"] == pytest.approx(one.metrics[f"{role}/loss"], abs=1e-6)
    assert {role for role, round_ in updated if round_ < 2} == {"actor", "extractor"}  # by the groups
    for role in ("actor", "extractor"):
        left, right = (
            load_file(
                round_folder(latest_state(tmp_path / name / "run").joinpath("checkpoints"), 2)
                / role
                / "model.safetensors"
            )
            for name in ("alone", "groups")
        )
        assert all((left[key] - right[key]).abs().max() < 2e-5 for key in left)
