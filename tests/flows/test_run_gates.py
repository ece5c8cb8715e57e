"""The gates of a running co-evolution: a real process, real rounds, and bad data that stop the run before they are learned."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from crl.config.rollout import RefillConfig
from crl.errors import RunStopped
from crl.types import Completion, Episode, EpisodeKey, Outcome, Task, Turn, TurnKind
from flows.gates import GateFailed, check, rollouts
from flows.gates.worker import RunGates


def episode(config, group: int, index: int, success: bool) -> Episode:
    task = Task(f"room/train/{group}", "room", "minihack", "any", group, 14)
    said = Completion(f"c{group}.{index}", (1, 2), (3,), (-0.1,), "north", "stop", 0)
    turn = Turn(TurnKind.ACTION, "n:open", said, "north", float(success))
    guided = index >= config.rollout.free_per_group
    outcome = Outcome.SUCCESS if success else Outcome.TIMEOUT
    return Episode(EpisodeKey(3, group, index), task, guided, (turn,), outcome, float(success), 1)


@pytest.fixture
def ends(quick) -> list[Episode]:
    shape = quick.rollout
    return [episode(quick, g, i, (g + i) % 3 == 0) for g in range(shape.groups) for i in range(shape.group_size)]


async def test_a_rounds_episodes_pass_and_a_reward_that_cannot_be_stops_the_run(checkout, quick, ends):
    async with RunGates(quick, Path("params.yaml"), checkout / "docs") as gates:
        await gates.rollouts(3, ends)
        await gates.rollouts(4, [replace(end, key=replace(end.key, round=4)) for end in ends])
        with pytest.raises(GateFailed, match=r"rewards are of -1, 0, 1.*0\.5(.|\n)*Remedy"):
            await gates.rollouts(5, [replace(ends[0], reward=0.5, outcome=Outcome.TIMEOUT), *ends[1:]])
    assert (checkout / "docs/index.html").is_file()


async def test_a_refilled_round_passes_with_whole_groups_within_its_budget_alone(checkout, quick, ends):
    shape = quick.rollout.model_copy(update={"refill": RefillConfig(extra_groups=2), "guided_share": "utility"})
    refilled = quick.model_copy(update={"rollout": shape})
    uneven = [replace(end, guided=end.key.index >= 6) for end in ends]  # two of eight guided

    def more(groups: int) -> list[Episode]:
        return [episode(quick, shape.groups + g, i, True) for g in range(groups) for i in range(shape.group_size)]

    def judge(found: list[Episode]) -> None:
        check(rollouts.frame_of(found), rollouts.suite(refilled), docs=checkout / "docs", name="round 3")

    for whole in ([*uneven, *more(2)], ends):
        judge(whole)
    for faulty, fault in (
        ([*ends, *more(3)], "12 to 14 groups"),
        ([*ends, *more(2)[:-1]], "every group has 8 episodes"),
        ([replace(end, guided=end.key.index >= 7) for end in ends], "2 to 6 episodes of every group are guided"),
    ):
        with pytest.raises(GateFailed, match=fault):
            judge(faulty)


async def test_a_damaged_bank_is_told_before_the_next_round_is_learned(checkout, quick, ends):
    (checkout / "bank.parquet").write_text("no rows")
    async with RunGates(quick, Path("params.yaml"), checkout / "docs") as gates:
        gates.snapshot(2, checkout / "bank.parquet")
        with pytest.raises(GateFailed, match="not a Parquet file"):
            await gates.rollouts(3, ends)
        gates._snapshot = None


async def test_a_run_that_fails_leaves_no_check_behind(checkout, quick):
    gates = RunGates(quick, Path("params.yaml"), checkout / "docs")
    gates._command = [sys.executable, "-c", "import sys; sys.stdin.read()"]  # a verdict that never comes

    async def run() -> None:
        async with gates:
            gates.snapshot(0, checkout / "bank.parquet")
            await asyncio.sleep(0)
            raise RunStopped("lost")

    with pytest.raises(RunStopped, match="lost"):
        await run()
    assert gates._snapshot.cancelled()
    assert len(asyncio.all_tasks()) == 1


async def test_a_gate_that_dies_lets_nothing_pass(checkout, quick, ends):
    async with RunGates(quick, Path("params.yaml"), checkout / "docs") as gates:
        gates._process.kill()
        with pytest.raises(RunStopped, match="no data enter training unchecked"):
            await gates.rollouts(3, ends)


def test_what_the_inspection_refuses_is_neither_learned_nor_committed(checkout, tmp_path):
    from crl.config import load
    from crl.round.coevolution import CoEvolution
    from crl.round.hooks import Hooks
    from crl.tasks.sets import TaskSets
    from crl.tiny.warm_start import warm_start

    params = yaml.safe_load(Path("params.yaml").read_text())
    params["warm_start"] |= {"episodes_per_task": 5, "actor_steps": 2, "extractor_steps": 2}
    params["rollout"] |= {"groups": 3, "live_episodes": 24}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    config = load("params.yaml")
    tasks = TaskSets.generate(config)
    warm_start(config, tasks, tmp_path / "base")
    base = tmp_path / "base"

    async def refuse(round_, ends):
        raise GateFailed(f"{len(ends)} episodes", (), tmp_path)

    run = CoEvolution.open(
        config, folder=tmp_path / "run", actor=base / "actor", extractor=base / "extractor", tasks=tasks,
        hooks=Hooks(inspect=refuse),
    )  # fmt: skip

    async def play():
        try:
            await run.play_round()
        finally:
            await run.close()

    with pytest.raises(GateFailed, match="24 episodes"):
        asyncio.run(play())
    assert run.parts.actor.version == 0
    assert list(run.parts.state.checkpoints.iterdir()) == []
