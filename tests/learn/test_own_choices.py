"""A loss, an advantage and a reward from a package outside the tree: named in the parameters, nothing else touched."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from crl.config.choices import ADVANTAGES, OBJECTIVES, REWARDS
from crl.config.compose import composed
from crl.errors import ConfigError, RunStopped
from crl.learn.learner import open_learner
from crl.models.resolve import save_model
from crl.tiny.model import build_model
from crl.tiny.tokenizer import train_tokenizer
from tests import outside
from tests.learn.samples import random_batch

CONF = Path(__file__).parents[2] / "conf"
TEAM = '''
from crl.learn.objectives import PolicyObjective


class Reinforce(PolicyObjective):
    """No ratio is clipped, none corrects."""

    def token_loss(self, logprobs, old_logprobs, weights):
        return -weights * logprobs


def best_of_three(rewards):
    return [float(reward == max(rewards)) for reward in rewards]


best_of_three.at_least = 3


def steps_saved(episode, *, asked):
    return -float(episode.env_steps)


def gain(episode, *, asked, evidence):
    return None if evidence.free_rate is None else float(episode.success) - evidence.free_rate


def of_another_time(episode, asked_for):
    return 1.0
'''


@pytest.fixture(autouse=True)
def _a_teams_package(tmp_path: Path):
    with outside.module("team_of_one", TEAM, tmp_path):
        yield


def test_all_three_are_found_by_module_and_name():
    config = composed(
        "quick",
        [
            "learn.extractor.objective=team_of_one:Reinforce",
            "learn.actor.advantage=team_of_one:best_of_three",
            "extractor.reward=team_of_one:steps_saved",
        ],
        CONF,
    )
    assert OBJECTIVES.load(config.learn.extractor.objective, "learn.extractor.objective").__name__ == "Reinforce"
    assert ADVANTAGES.load(config.learn.actor.advantage, "learn.actor.advantage")([0.0, 1.0]) == [0.0, 1.0]
    assert REWARDS.load(config.extractor.reward, "extractor.reward").__name__ == "steps_saved"


def test_an_estimators_own_demand_is_checked_before_anything_runs():
    with pytest.raises(ConfigError, match=r"team_of_one:best_of_three' needs subgroups of 0 or at least 3 episodes"):
        composed("quick", ["learn.actor.advantage=team_of_one:best_of_three", "rollout.free_per_group=2"], CONF)


def test_a_reward_may_ask_for_evidence_and_one_that_cannot_be_called_is_refused_before_anything_runs():
    composed("quick", ["extractor.reward=team_of_one:gain"], CONF)
    with pytest.raises(
        ConfigError, match=r"of_another_time' takes \(episode, asked_for\). Remedy: \(episode, \*, asked\)"
    ):
        composed("quick", ["extractor.reward=team_of_one:of_another_time"], CONF)


@pytest.mark.parametrize("role", ["actor", "extractor"])
@pytest.mark.parametrize("objective", ["grpo", "cispo", "team_of_one:Reinforce"])
def test_either_role_learns_by_any_objective(role: str, objective: str, tmp_path: Path):
    chosen = [
        f"learn.{role}.objective={objective}",
        f"learn.{role}.kl_coef=0",
        f"learn.{role}.correction.level=sequence",
    ]
    config = composed("quick", [*chosen, f"learn.{role}.max_mismatch=1e-6"], CONF)
    tokenizer = train_tokenizer(["go north to the door"], 300)
    save_model(build_model(config.role(role).model, tokenizer, 1), tokenizer, tmp_path / role)
    learner = open_learner(config, role, str(tmp_path / role), sessions=1, turnstile=None)
    before = learner.trainer.weights()
    batch = [replace(item, weight=1.0) for item in random_batch(4)]  # pushed up from below: nothing is clipped
    metrics = learner.update(batch, 1)
    assert metrics[f"{role}/optimizer_steps"] == 1.0
    assert 0 < metrics[f"{role}/correction_ess"] <= 1
    assert any(not torch.equal(before[name], weight) for name, weight in learner.trainer.weights().items())
    with pytest.raises(RunStopped, match="max_mismatch = 1e-06"):
        learner.update([replace(item, sequence=replace(item.sequence, version=learner.version)) for item in batch], 1)
    learner.engine.close()
