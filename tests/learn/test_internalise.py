"""Guided successes trained without their experience: which, with what weight, on which tokens, and with what gradient."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crl.config.learn import ActorLearningConfig
from crl.learn.batches import actor_batch
from crl.learn.objectives.cispo import CispoObjective
from crl.learn.objectives.grpo import GrpoObjective
from crl.learn.sequences import WeightedSequence, sequence_without_experience
from crl.learn.trainer import Trainer
from crl.types import AskUse, Completion, Episode, EpisodeKey, Outcome, Task, Turn, TurnKind
from tests.learn.samples import adam, random_batch, tiny_model

TASK = Task("room/train/1", "room", "minihack", "Room-5x5", 1, 14)
SHOWN, PLAIN = (1, 40, 41, 42, 5), (1, 5)  # openings with and without the experience 40 41 42


def episode(index: int, won: bool, *, guided: bool, group: int = 0) -> Episode:
    """Two turns: 7 8 after the opening, 9 after the observation 6."""
    opening = SHOWN if guided else PLAIN
    said = (
        Completion(f"{index}a", opening, (7, 8), (-0.5, -0.25), "", "stop", 3),
        Completion(f"{index}b", (6,), (9,), (-0.1,), "", "stop", 3),
    )
    turns = tuple(Turn(TurnKind.ACTION, "", completion, "north") for completion in said)
    outcome = Outcome.SUCCESS if won else Outcome.TIMEOUT
    key = EpisodeKey(3, group, index)
    return Episode(key, TASK, guided, turns, outcome, float(won), 2, opening_without_experience=PLAIN if guided else ())


def group(free: str, guided: str) -> list[Episode]:
    """A 1 is a success."""
    return [episode(i, won == "1", guided=i >= len(free)) for i, won in enumerate(free + guided)]


def added(episodes: list[Episode], weight: float = 1.0) -> list[WeightedSequence]:
    batch = actor_batch(episodes, ActorLearningConfig(internalise=weight), current_version=3)
    return [item for item in batch.sequences if not item.sequence.in_context]


def test_the_experience_leaves_the_prompt_and_every_token_that_was_said_stays():
    (item,) = added(group("00", "10"))
    assert item.sequence.input_ids == (*PLAIN, 7, 8, 6, 9)
    assert item.sequence.loss_mask == (0, 0, 1, 1, 0, 1)
    assert item.sequence.version is None  # no weights sampled it: the engine's arithmetic is not judged by it


@given(st.text("01", min_size=2, max_size=6), st.text("01", min_size=2, max_size=6), st.floats(0.01, 3))
def test_a_success_weighs_what_it_earned_above_the_free_half_and_a_failure_nothing(free, guided, weight):
    above = 1 - free.count("1") / len(free)
    expected = [weight * above] * guided.count("1") if above else []
    assert [item.weight for item in added(group(free, guided), weight)] == pytest.approx(expected)


def test_what_has_no_experience_to_take_out_or_no_free_half_to_compare_with_is_left_out():
    episodes = group("00", "11")
    shown_nothing = replace(episodes[2], opening_without_experience=())
    asked = replace(episodes[3], asks=(AskUse("where?", (), None, "there"),))
    assert added([*episodes[:2], shown_nothing, asked]) == []
    assert added(episodes[2:]) == []
    assert len(added(episodes)) == 2


def test_the_rest_of_the_batch_is_as_it_is_without_and_off_it_is_off():
    episodes = group("01", "10")
    without = actor_batch(episodes, ActorLearningConfig(), current_version=3)
    with_it = actor_batch(episodes, ActorLearningConfig(internalise=0.5), current_version=3)
    assert with_it.sequences[: len(without.sequences)] == without.sequences
    changed = {name for name in without.metrics if without.metrics[name] != with_it.metrics[name]}
    assert changed == {"actor/internalised", "actor/internalised_tokens"}
    assert (without.metrics["actor/internalised"], with_it.metrics["actor/internalised"]) == (0, 1)


def gradient(batch, objective) -> torch.Tensor:
    """Of the trainer's loss, all parameters in one vector: what AdamW's first moment holds after a step from rest."""
    trainer = Trainer(tiny_model(), adam(max_grad_norm=1e9), objective, device="cpu")
    trainer.update(batch)
    optimizer = trainer._optimizer
    beta, _ = optimizer.param_groups[0]["betas"]
    return torch.cat([optimizer.state[p]["exp_avg"].flatten() / (1 - beta) for p in trainer.model.parameters()])


@pytest.mark.parametrize("objective", [GrpoObjective(), CispoObjective(), GrpoObjective(aggregation="token")])
def test_the_gradient_is_that_of_weighted_log_likelihood_whatever_the_recorded_logprobs_were(objective):
    """Against autograd on the model's own forward pass: -sum w log pi(token | free prompt), by the batch's denominators."""
    episodes, weight = group("00", "10"), 0.75
    alone = WeightedSequence(sequence_without_experience(episodes[2]), weight)
    model, ids = tiny_model().eval(), torch.tensor([[*PLAIN, 7, 8, 6, 9]])
    logprobs = torch.log_softmax(model(ids).logits[0], -1)
    said = torch.stack([logprobs[position - 1, ids[0, position]] for position in (2, 3, 5)])
    (-weight * said.mean()).backward()
    expected = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    assert torch.allclose(gradient([alone], objective), expected, atol=1e-5)
    assert expected.abs().max() > 1e-3
    lying = replace(alone, sequence=replace(alone.sequence, old_logprobs=(0, 0, -9.0, -0.01, 0, -4.0)))
    assert torch.equal(gradient([lying], objective), gradient([alone], objective))


def test_it_adds_to_the_policy_gradient_as_one_sequence_among_the_others():
    policy = random_batch(5)
    alone = WeightedSequence(sequence_without_experience(group("00", "10")[2]), 0.75)
    together = gradient([*policy, alone], GrpoObjective())
    parts = gradient(policy, GrpoObjective()) * 5 / 6 + gradient([alone], GrpoObjective()) / 6
    assert torch.allclose(together, parts, atol=1e-5)


def test_ratios_are_told_of_what_has_them():
    policy = random_batch(5)
    alone = WeightedSequence(sequence_without_experience(group("00", "10")[2]), 0.75)

    def told(batch) -> dict[str, float]:
        return Trainer(tiny_model(), adam(), GrpoObjective(), device="cpu").update(batch)

    mixed, plain = told([*policy, alone]), told(policy)
    for name in ("ratio_mean", "ratio_max", "clip_fraction", "kl_k1", "kl_k3"):
        assert mixed[name] == pytest.approx(plain[name], rel=1e-5)
    assert mixed["trained_tokens"] == plain["trained_tokens"] + 3


def test_a_kl_term_leaves_out_what_the_policy_did_not_sample():
    alone = WeightedSequence(sequence_without_experience(group("00", "10")[2]), 0.75)
    with_kl = Trainer(
        tiny_model(), adam(), GrpoObjective(kl_coef=0.3), reference_model=tiny_model(seed=1), device="cpu"
    ).update([alone])
    without = Trainer(tiny_model(), adam(), GrpoObjective(), device="cpu").update([alone])
    assert with_kl["grad_norm"] == pytest.approx(without["grad_norm"])
    assert with_kl["reference_kl"] == 0
