"""The tutorial, run: its environment passes the checker and trains, from its own blocks and nothing else."""

import asyncio
import re
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crl.cli.main import app
from crl.config.compose import composed
from crl.round.coevolution import CoEvolution
from crl.tasks.prepare import prepare
from crl.tasks.sets import TaskSets
from crl.tiny.warm_start import warm_start

ROOT = Path(__file__).parents[1]
SHORT = [
    "tasks.train_levels=200", "tasks.eval_levels=6", "models.actor.hidden_size=32", "models.actor.layers=1",
    "warm_start.episodes_per_task=60", "warm_start.actor_steps=60", "warm_start.extractor_steps=60", "rollout.groups=4",
    "rollout.live_episodes=32", "rounds.count=3",
]  # fmt: skip


@pytest.fixture
def tutorial(tmp_path, monkeypatch) -> Path:
    """A folder with the tutorial's module, on Python's path, and its profile among ours."""
    page = (ROOT / "docs/bring_your_own.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, re.S)
    [profile] = re.findall(r"```yaml\n(.*?)```", page, re.S)
    (tmp_path / "my_env.py").write_text(code)
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "conf/profile/dial.yaml").write_text(profile)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield tmp_path
    sys.modules.pop("my_env", None)


@pytest.mark.parametrize("style", ["slots", "grid"])
def test_the_tutorials_environment_keeps_the_contract(tutorial, style):
    done = CliRunner().invoke(app, ["envs", "check", "my_env:Dial", "--observation", style])
    assert (done.exit_code, "all rules hold" in done.output) == (0, True), done.output


def test_the_tutorials_environment_trains_without_a_line_changed(tutorial):
    config = composed("dial", SHORT, tutorial / "conf")
    for name in config.tasks.mix:
        prepare(config, name, tutorial / "tasks")
    tasks = TaskSets.read(tutorial / "tasks", config.tasks.mix)
    warm_start(config, tasks, tutorial / "base")
    base = tutorial / "base"
    run = CoEvolution.open(
        config, folder=tutorial / "run", actor=base / "actor", extractor=base / "extractor", tasks=tasks
    )

    async def play():
        try:
            return [await run.play_round() for _ in range(config.rounds.count)]
        finally:
            await run.close()

    reports = asyncio.run(play())
    assert all(report.metrics["rollout/episodes"] == 32 for report in reports)
    assert all(0 < report.metrics["rollout/dial_success_free"] < 1 for report in reports)
    assert run.parts.actor.version > 0
    assert len(run.parts.bank) > 0
