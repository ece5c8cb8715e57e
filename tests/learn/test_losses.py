"""Loss terms at hand-computed points, and what a token counts."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crl.config.learn import ActorLearningConfig, ExtractorLearningConfig
from crl.learn.collate import Denominators
from crl.learn.objectives import SupervisedObjective, k3_kl
from crl.learn.objectives.cispo import CispoObjective
from crl.learn.objectives.grpo import GrpoObjective


def at_ratio(ratio: float) -> tuple[torch.Tensor, torch.Tensor]:
    old = torch.tensor([-1.0])
    return (old + math.log(ratio)).requires_grad_(), old


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "has_gradient"),
    [
        (1.0, 2.0, -2.0, True),
        (1.5, 2.0, -2.6, False),  # above 1 + 0.3, and pushing further up
        (1.5, -2.0, 3.0, True),  # above, but pushed back: not clipped
        (0.5, -2.0, 1.6, False),  # below 1 - 0.2, and pushing further down
        (0.5, 2.0, -1.0, True),
    ],
)
def test_the_clip_stops_only_steps_that_lead_further_out(ratio, advantage, loss, has_gradient):
    logprobs, old = at_ratio(ratio)
    term = GrpoObjective(clip_low=0.2, clip_high=0.3).token_loss(logprobs, old, torch.tensor([advantage]))
    term.sum().backward()
    assert term.item() == pytest.approx(loss, abs=1e-6)
    assert bool(logprobs.grad.abs().item() > 0) is has_gradient


@given(st.floats(-5, 5), st.floats(-3, 3).filter(bool), st.floats(1.31, 10))
def test_a_dual_clip_is_its_formula_and_bounds_what_a_negative_advantage_costs(log_ratio, advantage, bound):
    """Ye et al. 2020, in plain numbers."""
    ratio, old = math.exp(log_ratio), torch.tensor([-1.0], dtype=torch.float64)
    clipped = min(ratio * advantage, min(max(ratio, 0.8), 1.3) * advantage)
    expected = -(max(clipped, bound * advantage) if advantage < 0 else clipped)
    logprobs = (old + log_ratio).requires_grad_()
    objective = GrpoObjective(clip_low=0.2, clip_high=0.3, dual_clip=bound)
    loss = objective.token_loss(logprobs, old, torch.tensor([advantage], dtype=torch.float64))
    loss.sum().backward()
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    assert loss.item() <= bound * abs(advantage) * (1 + 1e-9)
    if advantage < 0 and ratio > bound * (1 + 1e-9):
        assert logprobs.grad.item() == 0.0


def test_a_dual_clip_holds_where_a_ratio_is_beyond_all_numbers():
    logprobs = torch.tensor([-0.1], requires_grad=True)
    loss = GrpoObjective(dual_clip=3.0).token_loss(logprobs, torch.tensor([-200.0]), torch.tensor([-1.0]))
    loss.sum().backward()
    assert (loss.item(), logprobs.grad.item()) == (pytest.approx(3.0), 0.0)


@pytest.mark.parametrize(("ratio", "coefficient"), [(1.0, 1.0), (1.5, 1.1), (0.5, 0.9)])
def test_cispo_keeps_every_tokens_gradient_at_a_bounded_size(ratio, coefficient):
    logprobs, old = at_ratio(ratio)
    CispoObjective(clip_low=0.1, clip_high=0.1).token_loss(logprobs, old, torch.tensor([2.0])).sum().backward()
    assert logprobs.grad.item() == pytest.approx(-2.0 * coefficient, abs=1e-6)


def test_an_objectives_defaults_are_the_papers_and_those_of_the_role_that_learns_by_it():
    """Clips of method 1.3 and 2.5."""
    assert GrpoObjective() == GrpoObjective.of(ActorLearningConfig())
    assert CispoObjective() == CispoObjective.of(ExtractorLearningConfig())
    assert (GrpoObjective().clip_range, CispoObjective().clip_range) == ((0.8, 1.2), (0.9, 1.1))


def test_k3_is_zero_at_equality_and_positive_elsewhere():
    logprobs = torch.tensor([-1.0, -2.0, -0.5])
    assert torch.equal(k3_kl(logprobs, logprobs), torch.zeros(3))
    assert (k3_kl(logprobs, logprobs - torch.tensor([0.5, -0.5, 2.0])) > 0).all()


def test_sft_is_weighted_cross_entropy():
    logits, targets = torch.randn(5, 7), torch.tensor([0, 1, 2, 3, 4])
    logprobs = torch.log_softmax(logits, -1)[torch.arange(5), targets]
    loss = SupervisedObjective().token_loss(logprobs, logprobs, torch.ones(5))
    assert torch.allclose(loss.mean(), torch.nn.functional.cross_entropy(logits, targets))


counts = st.lists(st.integers(1, 50), min_size=1, max_size=20)


@given(counts, st.sampled_from(["sequence", "token"]))
def test_the_weights_of_a_whole_batch_sum_to_one(lengths, aggregation):
    batch = Denominators(len(lengths), sum(lengths))
    assert sum(n * batch.token_weight(n, aggregation) for n in lengths) == pytest.approx(1.0)


def test_sequence_aggregation_gives_short_and_long_sequences_one_vote_each():
    batch = Denominators(sequences=2, tokens=100)
    assert 1 * batch.token_weight(1, "sequence") == pytest.approx(99 * batch.token_weight(99, "sequence"))
    assert batch.token_weight(1, "token") == batch.token_weight(99, "token")
