"""The extractor's guard, with a real model: what is judged, what comes back, what a checkpoint keeps."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from crl.config.compose import composed
from crl.config.learn import GuardConfig
from crl.errors import DataError
from crl.learn.guard import Guard, Verdict
from crl.learn.learner import Learner, open_learner
from crl.models.resolve import save_model
from crl.tiny.model import build_model
from crl.tiny.tokenizer import train_tokenizer
from tests.learn.samples import random_batch

CONF = Path(__file__).parents[2] / "conf"
CONFIG = GuardConfig(fall=0.25, replies=8)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, config = tmp_path_factory.mktemp("extractor"), composed("quick", folder=CONF)
    tokenizer = train_tokenizer(["go north to the door"], 300)
    save_model(build_model(config.models.extractor, tokenizer, 1), tokenizer, folder)
    return folder


def opened(source: Path) -> Learner:
    config = composed("quick", ["learn.extractor.kl_coef=0"], CONF)
    return open_learner(config, "extractor", str(source), sessions=1, turnstile=None)


@pytest.fixture
def learner(source: Path):
    learner = opened(source)
    yield learner
    learner.engine.close()


def read(guard: Guard, version: int, valid: int, of: int = 8) -> None:
    for index in range(of):
        guard.observe(version, valid=index < valid)


def train(learner: Learner) -> None:
    learner.update([replace(item, weight=1.0) for item in random_batch(4)], 1)
    learner.sync()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def judged(guard: Guard) -> Verdict:
    return guard.judge()[0]


def test_weights_learn_nothing_further_until_enough_of_their_replies_were_read(learner):
    guard = Guard(CONFIG, learner)
    assert judged(guard) is Verdict.WAIT  # nothing is known of the base model's replies either
    read(guard, 0, valid=8)
    assert judged(guard) is Verdict.TRAIN
    train(learner)
    read(guard, 0, valid=0)  # late replies of the weights before say nothing of the new ones
    read(guard, 1, valid=3, of=7)
    verdict, metrics = guard.judge()
    assert (verdict, metrics["extractor/guard_waits"]) == (Verdict.WAIT, 1.0)
    read(guard, 1, valid=1, of=1)
    assert judged(guard) is Verdict.TAKE_BACK  # 4 of 8 are less than 0.75 of all


def test_a_collapsed_update_is_undone_in_trainer_and_engine_and_the_version_goes_up(learner):
    guard = Guard(CONFIG, learner)
    read(guard, 0, valid=8)
    assert judged(guard) is Verdict.TRAIN
    train(learner)
    read(guard, 1, valid=7)
    assert judged(guard) is Verdict.KEEP
    guard.keep()
    good = learner.trainer.state_dict()
    train(learner)
    assert not same(learner.trainer.weights(), good.weights)
    read(guard, 2, valid=2)
    verdict, metrics = guard.judge()
    assert (verdict, metrics["extractor/guard_taken_back"], metrics["extractor/guard_share"]) == (
        Verdict.TAKE_BACK, 1.0, 0.25,
    )  # fmt: skip
    guard.take_back()
    back = learner.trainer.state_dict()
    assert same(back.weights, good.weights)
    assert same(back.optimizer, good.optimizer)
    assert (learner.version, learner.engine.version) == (3, 3)
    assert [guard.undid(version) for version in range(4)] == [False, False, True, False]


def test_weights_that_were_good_before_are_not_to_blame_for_what_they_are_asked(learner):
    guard = Guard(CONFIG, learner)
    read(guard, 0, valid=8)
    judged(guard)
    read(guard, 0, valid=4)
    assert judged(guard) is Verdict.TRAIN
    train(learner)
    read(guard, 1, valid=4)
    assert judged(guard) is Verdict.KEEP  # what can be expected has fallen, too


def test_a_slow_decline_is_found_before_half_of_the_replies_are_lost(learner):
    """Each version is nearly as good as the one before it: the running level remembers better ones."""
    guard, share, verdicts = Guard(GuardConfig(fall=0.25, replies=100), learner), 100, []
    read(guard, 0, valid=100, of=100)
    judged(guard)
    while share > 50 and Verdict.TAKE_BACK not in verdicts:
        train(learner)
        share -= 5
        read(guard, learner.version, valid=share, of=100)
        verdicts.append(judged(guard))
        guard.keep()
    assert verdicts[-1] is Verdict.TAKE_BACK


def test_a_resumed_guard_knows_what_the_original_knew(source, learner, tmp_path):
    guard = Guard(CONFIG, learner)
    read(guard, 0, valid=8)
    judged(guard)
    train(learner)
    read(guard, 1, valid=1)
    guard.saving()(tmp_path / "guard")
    learner.save(tmp_path / "extractor")
    again = opened(source)
    again.load(tmp_path / "extractor", 1)
    resumed = Guard(CONFIG, again)
    resumed.load(tmp_path / "guard")
    assert resumed.trial == guard.trial
    assert judged(resumed) is judged(guard) is Verdict.TAKE_BACK
    resumed.take_back()
    guard.take_back()
    assert same(again.trainer.state_dict().weights, learner.trainer.state_dict().weights)
    again.engine.close()


def test_what_is_no_guards_folder_is_refused_with_a_remedy(learner, tmp_path):
    with pytest.raises(DataError, match=r"trial\.json: (.|\n)*Remedy"):
        Guard(CONFIG, learner).load(tmp_path)
