"""What is brought from outside, run: the tutorial's environment alone, and a package with one of everything else."""

import asyncio
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crl.cli.main import app
from crl.config.compose import composed
from crl.round.coevolution import CoEvolution
from crl.round.report import RoundReport
from crl.tasks.prepare import prepare
from crl.tasks.sets import TaskSets
from crl.tiny.warm_start import warm_start

ROOT = Path(__file__).parents[1]
SHORT = [
    "tasks.train_levels=200", "tasks.eval_levels=6", "models.actor.hidden_size=32", "models.actor.layers=1",
    "warm_start.episodes_per_task=60", "warm_start.actor_steps=60", "warm_start.extractor_steps=60", "rollout.groups=4",
    "rollout.live_episodes=32", "rounds.count=3",
]  # fmt: skip
TEAM = """
from crl.engine.kinds import Transformers
from crl.learn.objectives import PolicyObjective

opened, rewarded = [], []


class Reinforce(PolicyObjective):
    def token_loss(self, logprobs, old_logprobs, weights):
        return -weights * logprobs


def sign(rewards):
    mean = sum(rewards) / len(rewards)
    return [float(reward > mean) - float(reward < mean) for reward in rewards]


def brief(episode, *, asked):
    rewarded.append(episode.key)
    return episode.success / max(1, episode.env_steps)


class Noted(Transformers):
    @classmethod
    def open(cls, opening):
        opened.append(opening.role)
        return super().open(opening)
"""
ALL_OF_ITS_OWN = [
    "learn.actor.objective=team_of_all:Reinforce", "learn.extractor.objective=team_of_all:Reinforce",
    "learn.actor.advantage=team_of_all:sign", "extractor.reward=team_of_all:brief", "engine.kind=team_of_all:Noted",
    "bank.index=team_store:OwnStore", "learn.extractor.batch=4", "learn.extractor.buffer=64",
]  # fmt: skip


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on Python's path with the tutorial's module, its profile among ours, and a team's package."""
    folder = tmp_path_factory.mktemp("outside")
    page = (ROOT / "docs/bring_your_own.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, re.S)
    [profile] = re.findall(r"```yaml\n(.*?)```", page, re.S)
    (folder / "my_env.py").write_text(code)
    (folder / "team_of_all.py").write_text(TEAM)
    shutil.copy(ROOT / "tests/bank/own_store.py", folder / "team_store.py")
    shutil.copytree(ROOT / "conf", folder / "conf")
    (folder / "conf/profile/dial.yaml").write_text(profile)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", str(folder))
        yield folder
    for module in ("my_env", "team_of_all", "team_store"):
        sys.modules.pop(module, None)


@pytest.fixture(scope="module")
def tasks(outside: Path) -> TaskSets:
    """Prepared, and played by the base models under `base`."""
    config = composed("dial", SHORT, outside / "conf")
    for name in config.tasks.mix:
        prepare(config, name, outside / "tasks")
    tasks = TaskSets.read(outside / "tasks", config.tasks.mix)
    warm_start(config, tasks, outside / "base")
    return tasks


def play(outside: Path, tasks: TaskSets, folder: Path, *overrides: str) -> tuple[CoEvolution, list[RoundReport]]:
    config = composed("dial", [*SHORT, *overrides], outside / "conf")
    base = outside / "base"
    run = CoEvolution.open(config, folder=folder, actor=base / "actor", extractor=base / "extractor", tasks=tasks)

    async def rounds() -> list[RoundReport]:
        try:
            return [await run.play_round() for _ in range(config.rounds.count)]
        finally:
            await run.close()

    return run, asyncio.run(rounds())


@pytest.mark.parametrize("style", ["slots", "grid"])
def test_the_tutorials_environment_keeps_the_contract(outside, style):
    done = CliRunner().invoke(app, ["envs", "check", "my_env:Dial", "--observation", style])
    assert (done.exit_code, "all rules hold" in done.output) == (0, True), done.output


def test_the_tutorials_environment_trains_without_a_line_changed(outside, tasks, tmp_path):
    run, reports = play(outside, tasks, tmp_path)
    assert all(report.metrics["rollout/episodes"] == 32 for report in reports)
    assert all(0 < report.metrics["rollout/dial_success_free"] < 1 for report in reports)
    assert run.parts.actor.version > 0
    assert len(run.parts.bank) > 0


def test_a_round_trains_with_one_of_everything_from_a_package_outside(outside, tasks, tmp_path):
    """Environment, loss, advantage, reward, engine and vector store, each by `module:name`."""
    run, _ = play(outside, tasks, tmp_path, *ALL_OF_ITS_OWN)
    team, store = sys.modules["team_of_all"], sys.modules["team_store"]
    assert set(team.opened) == {"actor", "extractor"}
    assert team.rewarded
    assert run.parts.actor.version > 0
    assert run.parts.extractor.version > 0
    assert store.SERVER.tables[run.lineage].keys() == {entry.id for entry in run.parts.bank.entries()}
