"""The attempts of the pass@k stage: every one is counted once, what infrastructure loses is played again."""

import pytest

from crl.config import Config, from_mapping
from crl.config.compose import compose
from crl.config.play import ModelConfig
from crl.episode.tally import SILENT, Progress
from crl.errors import ConfigError, RunStopped
from crl.evaluation.attempts import try_tasks
from crl.evaluation.pass_rate import AttemptLog, table
from crl.models.resolve import save_model
from crl.tasks.sets import TaskSets
from crl.tiny.model import build_model
from crl.tiny.tokenizer import train_tokenizer
from tests.envs.toy_envs import RecitedCorridor
from tests.episode.followed import Followed

FAMILY = "tests.envs.toy_envs:RecitedCorridor"


@pytest.fixture(scope="module")
def actor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "actor"
    tokenizer = train_tokenizer(["left right at goal walk to the now: 0 1 2 -1 -2,"] * 20, 640)
    save_model(
        build_model(ModelConfig(hidden_size=16, layers=1, heads=2, context_tokens=448), tokenizer, seed=0),
        tokenizer,
        folder,
    )
    return folder


def config_of(policy: str, family: str = FAMILY, attempts: int = 16) -> Config:
    values = compose("quick", [])
    entry = {"family": family, "level": "plain", "max_steps": 4, "weight": 1.0}
    values["tasks"] |= {"mix": {"walk": entry}, "train_levels": 6, "eval_levels": 1}
    values["envs"]["workers"] = 0
    values["rollout"] |= {"attempts": 1, "live_episodes": 16}
    values["pass_rate"] |= {"tasks": ["walk"], "policy": policy, "attempts": attempts}
    return from_mapping(values)


def played(config: Config, actor, file, progress: Progress = SILENT) -> list[dict]:
    tasks, log = list(TaskSets.generate(config).train["walk"]), AttemptLog(file)
    try:
        try_tasks(config, tasks, actor, log, progress)
        return table(tasks, log.of(tasks, config.pass_rate.attempts))
    finally:
        log.close()


@pytest.mark.parametrize("policy", ["scripted", "actor"])
def test_each_task_is_played_n_times_and_the_same_run_gives_the_same_table(policy, actor, tmp_path):
    config = config_of(policy)
    rows, again = played(config, actor, tmp_path / "one"), played(config, actor, tmp_path / "other")
    assert [row["n"] for row in rows] == [16] * 6
    if policy == "scripted":  # the untrained actor solves nothing, which is as it should be
        assert 0 < sum(row["c"] for row in rows) < 96
    assert [(row["task_id"], row["c"], row["env_steps"]) for row in rows] == [
        (row["task_id"], row["c"], row["env_steps"]) for row in again
    ]


def test_more_attempts_add_to_what_was_played_and_nothing_is_played_twice(actor, tmp_path):
    played(config_of("scripted", attempts=4), actor, tmp_path / "log")
    assert len((tmp_path / "log").read_text().splitlines()) == 24
    grown = played(config_of("scripted", attempts=16), actor, tmp_path / "log", followed := Followed())
    [standing] = [tally.standing() for tally in followed.tallies]
    assert (standing.ended, standing.planned, standing.lost) == (96, 96, 0)  # those of before count
    assert len((tmp_path / "log").read_text().splitlines()) == 96
    whole = played(config_of("scripted", attempts=16), actor, tmp_path / "whole")
    assert [row["c"] for row in grown] == [row["c"] for row in whole]


def test_what_infrastructure_loses_is_played_again_and_never_counted(actor, tmp_path, monkeypatch):
    quiet = played(config_of("scripted"), actor, tmp_path / "quiet")
    monkeypatch.setattr(RecitedCorridor, "lost", 20)
    rows = played(config_of("scripted"), actor, tmp_path / "lossy")
    assert [(row["n"], row["c"]) for row in rows] == [(row["n"], row["c"]) for row in quiet]


def test_lasting_trouble_stops_the_stage_and_keeps_what_was_played(actor, tmp_path, monkeypatch):
    monkeypatch.setattr(RecitedCorridor, "lost", 10**6)
    with pytest.raises(RunStopped, match=r"96 attempts were lost.*Remedy: mend the cause"):
        played(config_of("scripted"), actor, tmp_path / "log")


def test_a_family_without_scripted_attempts_says_so(actor, tmp_path):
    with pytest.raises(ConfigError, match=r"has no scripted attempts\. Remedy: use 'actor'"):
        played(config_of("scripted", "tests.envs.toy_envs:Corridor"), actor, tmp_path / "log")
