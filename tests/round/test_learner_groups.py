"""Rounds whose learners are groups of workers, also of such as are killed, against rounds that learn in one process."""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import pytest
from safetensors.torch import load_file

from crl.errors import ConfigError
from crl.files import round_folder
from crl.learn.group import LearnerGroup
from crl.learn.learner import open_learner
from crl.round.hooks import Hooks, Unit
from crl.round.report import RoundReport
from crl.round.state import latest_state, lineage_id
from tests.round import runs

T = TypeVar("T")
TWO = [f"learn.{role}.workers=2" for role in ("actor", "extractor")]


async def play(
    folder: Path, rounds: int, *more: str, killed: Mapping[str, int] = MappingProxyType({})
) -> list[RoundReport]:
    """From wherever the run of three rounds stands. The actor's first worker is killed before these units, when so many rounds
    have ended."""

    async def run_unit(name: str, unit: Unit[T]) -> T:
        if run.next_round == killed.get(name):
            os.kill(run.parts.actor.trainer._crew.pids[0], signal.SIGKILL)
        return await unit()

    run = runs.open_run(runs.small_config("lockstep", 3, *more), folder, Hooks(run_unit))
    try:
        assert isinstance(run.parts.actor.trainer, LearnerGroup) is bool(more)
        return [await run.play_round() for _ in range(rounds)]
    finally:
        await run.close()


@pytest.fixture(scope="module")
def alone(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[RoundReport]]:
    """Three rounds that learned in one process."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "models").symlink_to(models)
    return folder, asyncio.run(play(folder, 3))


@pytest.mark.slow
def test_two_workers_for_each_role_learn_what_one_process_learns_and_it_goes_on_with_that(
    alone: tuple[Path, list[RoundReport]], folder: Path
) -> None:
    groups = asyncio.run(play(folder, 2, *TWO))
    groups += asyncio.run(play(folder, 1))
    updated = set()
    for one, two in zip(alone[1], groups, strict=True):
        assert two.metrics["rollout/success"] == one.metrics["rollout/success"]
        for role in ("actor", "extractor"):
            assert two.metrics.get(f"{role}/version") == one.metrics.get(f"{role}/version")
            if f"{role}/loss" in one.metrics:
                updated.add((role, one.round))
                assert two.metrics[f"{role}/loss"] == pytest.approx(one.metrics[f"{role}/loss"], abs=1e-6)
    assert {role for role, round_ in updated if round_ < 2} == {"actor", "extractor"}  # by the groups
    for role in ("actor", "extractor"):
        left, right = (
            load_file(round_folder(latest_state(where / "run").joinpath("checkpoints"), 2) / role / "model.safetensors")
            for where in (alone[0], folder)
        )
        assert all((left[key] - right[key]).abs().max() < 2e-5 for key in left)


@pytest.mark.slow
def test_a_worker_that_is_killed_in_a_rollout_and_before_a_commit_changes_no_byte_of_what_the_run_leaves(
    alone: tuple[Path, list[RoundReport]], folder: Path
) -> None:
    disturbed = asyncio.run(play(folder, 3, "learn.actor.workers=1", killed={"rollout-shard-0": 1, "commit": 2}))
    assert runs.digests(folder) == runs.digests(alone[0])
    assert [report.metrics.get("actor/worker_restarts") for report in disturbed] == [None, 1.0, 1.0]


def test_where_workers_are_is_no_part_of_what_a_run_is_and_a_command_without_a_cluster_says_so() -> None:
    shards = [
        "run.task_runner=ray",
        "engine.kind=server",
        "servers.actor=[http://a:1]",
        "servers.extractor=[http://b:1]",
    ]
    here, there = (
        runs.small_config("async", 3, *shards, f"learn.actor.workers={workers}", f"learn.actor.placed={place}")
        for workers, place in ((1, "here"), (2, "ray"))
    )
    assert lineage_id(here, {}) == lineage_id(there, {})
    with pytest.raises(ConfigError, match=r"learn\.actor\.placed = 'ray'.*Remedy"):
        open_learner(there, "actor", "nowhere", sessions=1, turnstile=None)
