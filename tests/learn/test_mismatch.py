"""How far the engine's log-probs are from the trainer's, on what the present weights sampled."""

from dataclasses import replace

import pytest
import torch

from crl.errors import RunStopped
from crl.learn.collate import Denominators, collate, rows_of
from crl.learn.learner import Learner
from crl.learn.objectives import SupervisedObjective
from crl.learn.objectives.grpo import GrpoObjective
from crl.learn.scoring import TokenScorer
from crl.learn.sequences import WeightedSequence, episode_sequence
from crl.learn.trainer import Trainer
from tests.learn.samples import adam, random_batch, tiny_model

VERSION = 4


def trainer(objective=None) -> Trainer:
    return Trainer(tiny_model(), adam(micro_batch_tokens=64), objective or GrpoObjective(), device="cpu")


def of_version(item: WeightedSequence, version: int | None) -> WeightedSequence:
    return replace(item, sequence=replace(item.sequence, version=version))


def gaps(batch: list[WeightedSequence]) -> torch.Tensor:
    """|our log-prob - the recorded one| of every trainable token, before any update."""
    micro = collate(rows_of(batch), Denominators.of(batch), "sequence", device=torch.device("cpu"))
    with torch.no_grad():
        logprobs, _ = TokenScorer(tiny_model())(micro.input_ids, micro.rows, micro.targets, micro.temperatures)
    return (logprobs - micro.old_logprobs).abs()


@pytest.mark.parametrize("steps", [1, 3])
def test_it_is_taken_over_what_the_present_version_sampled_before_the_first_step(steps):
    batch = [of_version(item, VERSION - i % 2) for i, item in enumerate(random_batch(12))]
    first_step = [item for item in batch[::steps] if item.sequence.version == VERSION]
    metrics = trainer().update(batch, steps=steps, version=VERSION)
    expected = gaps(first_step)
    assert metrics["engine_mismatch_tokens"] == len(expected) > 0
    assert metrics["engine_mismatch_mean"] == pytest.approx(expected.mean().item(), rel=1e-4)
    assert metrics["engine_mismatch_max"] == pytest.approx(expected.max().item(), rel=1e-4)


def test_what_other_versions_sampled_says_nothing_about_the_engine():
    batch = [of_version(item, None if i % 2 else VERSION - 1) for i, item in enumerate(random_batch(6))]
    metrics = trainer().update(batch, version=VERSION)
    assert metrics["engine_mismatch_tokens"] == 0
    assert "engine_mismatch_mean" not in metrics


def sampled_by_an_engine(apart: float) -> list[WeightedSequence]:
    """By the weights of now, with log-probs so many nats above ours."""
    batch = random_batch(6)
    micro = collate(rows_of(batch), Denominators.of(batch), "sequence", device=torch.device("cpu"))
    logprobs, _ = TokenScorer(tiny_model())(micro.input_ids, micro.rows, micro.targets, micro.temperatures)
    own = iter(logprobs.tolist())
    sampled = [
        replace(
            item.sequence,
            version=VERSION,
            old_logprobs=tuple(next(own) + apart if m else 0.0 for m in item.sequence.loss_mask),
        )
        for item in batch
    ]
    return [replace(item, sequence=each) for item, each in zip(batch, sampled, strict=True)]


def learner(max_mismatch: float | None) -> Learner:
    own = Trainer(tiny_model(), adam(), GrpoObjective(), device="cpu", max_mismatch=max_mismatch)
    return Learner("actor", None, None, None, own, "here", version=VERSION)


@pytest.mark.parametrize("apart", [0.0, 0.01])
def test_an_engine_that_is_further_off_than_arithmetic_explains_raises_an_alarm(apart, caplog):
    learner(max_mismatch=0.02).update(sampled_by_an_engine(apart), steps=1)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == (1 if apart else 0)
    assert all("actor: on the weights that sampled, the engine's log-probs are 0.01 nats" in text for text in warned)


def test_past_a_bound_it_stops_the_run_before_anything_is_learned():
    alarmed = learner(max_mismatch=0.005)
    before = alarmed.trainer.state_dict()
    with pytest.raises(
        RunStopped, match=r"0\.01 nats from .*learn\.\*\.max_mismatch = 0\.005; the weights are untouched.*Remedy"
    ):
        alarmed.update(sampled_by_an_engine(0.01), steps=2)
    after = alarmed.trainer.state_dict()
    assert all(torch.equal(weight, after.weights[name]) for name, weight in before.weights.items())
    assert (alarmed.version, after.counters) == (VERSION, before.counters)
    alarmed.update(sampled_by_an_engine(0.004), steps=2)  # nothing is left of the gradient that was not taken
    other = learner(max_mismatch=None)
    other.update(sampled_by_an_engine(0.004), steps=2)
    assert all(torch.equal(weight, alarmed.trainer.weights()[name]) for name, weight in other.trainer.weights().items())


def test_old_samples_are_far_off_by_rights_and_stop_nothing():
    batch = [of_version(item, VERSION - 1) for item in sampled_by_an_engine(0.5)]
    assert learner(max_mismatch=1e-6).update(batch, steps=1)["actor/optimizer_steps"] == 1.0


def test_it_changes_nothing_else():
    batch = [of_version(item, VERSION) for item in random_batch(6)]
    asked, not_asked = trainer().update(batch, version=VERSION), trainer().update(batch)
    assert {name: value for name, value in asked.items() if not name.startswith("engine_")} == not_asked


def test_supervised_learning_has_no_engine_to_compare_with():
    metrics = trainer(SupervisedObjective()).update(
        [of_version(item, VERSION) for item in random_batch(4)], version=VERSION
    )
    assert not any(name.startswith("engine_") for name in metrics)


def test_an_episode_that_saw_a_weight_update_belongs_to_no_version():
    from crl.episode.plan import Task
    from crl.types import Completion, Episode, EpisodeKey, Outcome, Turn, TurnKind

    def episode(*versions: int) -> Episode:
        turns = tuple(
            Turn(TurnKind.ACTION, "", Completion(str(i), (1,), (2,), (-0.1,), "", "stop", version), "go")
            for i, version in enumerate(versions)
        )
        task = Task("t", "t", "minihack", "l", 0, 9)
        return Episode(EpisodeKey(0, 0, 0), task, False, turns, Outcome.SUCCESS, 1.0, len(turns))

    assert episode_sequence(episode(3, 3)).version == 3
    assert episode_sequence(episode(3, 4)).version is None
