"""Real runs of a small study: killed and resumed they give the same figures, and arms of a seed begin from the same models."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crl.errors import ConfigError
from crl.files import digest_folder
from crl.study import results
from crl.study.definition import load_study
from crl.study.place import StudyRun
from crl.study.run import base_key, play
from crl.tasks.sets import TaskSets
from tests.round.runs import CONF
from tests.study.small import SMALL, write_study

ROOT = CONF.parent


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_study(tmp_path, SMALL, "small")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_and_says_the_same_and_a_finished_one_is_not_played_again(here: Path) -> None:
    study = load_study("small")
    whole = StudyRun(study, "complementary", 1, Path("whole"))
    play(whole, tell=lambda line: None)
    points = whole.points()
    assert [point["rounds"] for point in points] == [0, 1, 2]
    assert points[0]["env_steps"] == 0 < points[1]["env_steps"] < points[2]["env_steps"]
    assert {(cell["task"], cell["episodes"]) for point in points for cell in point["cells"]} == {("room", 4)}

    command = [sys.executable, "-m", "crl.study.play", "small", "complementary", "1", "--root", "killed"]
    environment = {"cwd": here, "env": os.environ | {"PYTHONPATH": str(ROOT)}, "text": True}
    with subprocess.Popen(command, stdout=subprocess.PIPE, **environment) as process:
        assert any("after 1 of 2" in line for line in process.stdout)
        process.kill()
    killed = StudyRun(study, "complementary", 1, Path("killed"))
    assert not killed.done
    play(killed, tell=lambda line: None)
    assert killed.done
    assert killed.points() == points
    assert results.collect([killed]).equals(results.collect([whole]))

    before = digest_folder(killed.folder)
    play(killed, tell=lambda line: pytest.fail(f"played again: {line}"))
    assert digest_folder(killed.folder) == before

    grpo = StudyRun(study, "grpo", 1, Path("whole"))
    told: list[str] = []
    play(grpo, told.append)
    assert not any("warm start" in line for line in told)  # the base models of the other arm
    assert grpo.points()[0]["cells"] == points[0]["cells"]


def test_a_folder_that_holds_another_run_is_refused(here: Path) -> None:
    run = StudyRun(load_study("small"), "grpo", 1)
    run.folder.mkdir(parents=True)
    (run.folder / "run.json").write_text('{"config": {"run": {"seed": 2}}, "panel": "p", "code": "c"}')
    with pytest.raises(ConfigError, match=r"begun with .*Remedy: go on with the commit that began it, or remove"):
        play(run)


def test_arms_of_a_seed_share_base_models_and_what_the_warm_start_reads_tells_them_apart() -> None:
    study = load_study("quick", CONF)

    def key(arm: str, seed: int = 101) -> str:
        config = study.config(arm, seed, CONF)
        return base_key(config, TaskSets.generate(config))

    assert key("grpo") == key("complementary") == key("static_bank") == key("bank_only")
    assert key("long_context") != key("grpo")  # it reads a longer context
    assert key("grpo", 102) != key("grpo")
