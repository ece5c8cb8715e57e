"""Importance weights: the formulas, what they leave alone, and that they carry no gradient."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crl.config.correction import CorrectionConfig
from crl.errors import RunStopped
from crl.learn.collate import Denominators, MicroBatch, collate, rows_of
from crl.learn.correction import OFF, Anchor, importance_weights
from crl.learn.objectives.cispo import CispoObjective
from crl.learn.objectives.grpo import GrpoObjective
from crl.learn.scoring import TokenScorer
from crl.learn.sequences import WeightedSequence
from crl.learn.trainer import Trainer
from tests.learn.samples import adam, random_batch, tiny_model
from tests.learn.test_adapter import adapted
from tests.learn.test_choices import among_few

LEVELS, MODES = ("token", "sequence"), ("truncate", "mask")
ALL = [CorrectionConfig(level=level, mode=mode, low=0.5, high=2.0) for level in LEVELS for mode in MODES]


def trainer(correction=OFF, objective=None, model=None, tokens: int = 128) -> Trainer:
    return Trainer(
        model or tiny_model(), adam(micro_batch_tokens=tokens), objective or GrpoObjective(), device="cpu", correction=correction
    )  # fmt: skip


def micro_batch(batch: list[WeightedSequence]) -> MicroBatch:
    return collate(rows_of(batch), Denominators.of(batch), "sequence", device=torch.device("cpu"))


def own_logprobs(batch: list[WeightedSequence], model=None) -> list[np.ndarray]:
    """Of each sequence's trained tokens, by the model as it begins."""
    part = micro_batch(batch)
    with torch.no_grad():
        logprobs, _ = TokenScorer(model or tiny_model())(*part.inputs)
    return [each.double().numpy() for each in logprobs.split(part.counts)]


def with_logprobs(item: WeightedSequence, logprobs: np.ndarray, scale: float = 1.0) -> WeightedSequence:
    values = iter(map(float, logprobs))
    old = tuple(next(values) if trained else 0.0 for trained in item.sequence.loss_mask)
    return replace(item, weight=item.weight * scale, sequence=replace(item.sequence, old_logprobs=old))


def sampled_nearby(batch: list[WeightedSequence], spread: float, seed: int = 0, model=None) -> list[WeightedSequence]:
    """As an engine that is off by noise of so many nats would have sampled them."""
    noise = np.random.default_rng(seed)
    own = own_logprobs(batch, model)
    return [
        with_logprobs(item, each + noise.normal(0, spread, len(each))) for item, each in zip(batch, own, strict=True)
    ]


def by_the_formula(log_ratios: list[list[float]], level: str, mode: str, low: float, high: float) -> list[list[float]]:
    """Token by token in plain Python."""
    weights = []
    for sequence in log_ratios:
        product = math.prod(math.exp(each) for each in sequence)
        ratios = [product if level == "sequence" else math.exp(each) for each in sequence]
        cut = [min(max(ratio, low), high) if mode == "truncate" else ratio * (low <= ratio <= high) for ratio in ratios]
        weights.append(cut)
    return weights


ratios_of_sequences = st.lists(st.lists(st.floats(-3, 3), min_size=1, max_size=8), min_size=1, max_size=6)


@given(ratios_of_sequences, st.sampled_from(LEVELS), st.sampled_from(MODES), st.floats(0, 0.99), st.floats(1.01, 20))
def test_weights_are_the_formulas(log_ratios, level, mode, low, high):
    flat, counts = torch.tensor([each for one in log_ratios for each in one]), tuple(map(len, log_ratios))
    correction = CorrectionConfig(level=level, mode=mode, low=low, high=high)
    weights, outside = importance_weights(flat.double(), counts, correction)
    exact = [part.tolist() for part in flat.double().split(counts)]
    expected = np.concatenate(by_the_formula(exact, level, mode, low, high))
    products = np.concatenate(by_the_formula(exact, level, "truncate", 0.0, math.inf))
    at_a_bound = np.isclose(products, low, rtol=1e-9) | np.isclose(products, high, rtol=1e-9)  # either side is right
    assert np.allclose(weights.numpy()[~at_a_bound], expected[~at_a_bound], rtol=1e-5)
    assert (outside.numpy() == (products < low) | (products > high))[~at_a_bound].all()


def test_a_product_beyond_all_numbers_is_cut_like_any_other():
    ratios, counts = torch.full((400,), 3.0), (399, 1)
    assert importance_weights(ratios, counts, CorrectionConfig(level="sequence"))[0].tolist() == [2.0] * 400
    masked = CorrectionConfig(level="sequence", mode="mask")
    assert importance_weights(ratios, counts, masked)[0].tolist() == [0.0] * 400


@pytest.mark.parametrize("correction", ALL)
def test_a_weight_scales_a_tokens_gradient_and_has_none_of_its_own(correction):
    part = micro_batch(sampled_nearby(random_batch(6), 0.6))
    own = TokenScorer(tiny_model())(*part.inputs)[0].detach().requires_grad_()
    anchor = Anchor.of(part, own, correction)
    (anchor.weights * GrpoObjective().token_loss(own, anchor.proximal, part.advantages)).sum().backward()
    ratios = [each.tolist() for each in (own - part.old_logprobs).detach().double().split(part.counts)]
    expected = np.concatenate(by_the_formula(ratios, correction.level, correction.mode, 0.5, 2.0))
    assert not anchor.weights.requires_grad
    assert 0 < anchor.outside.double().mean() < 1
    assert np.allclose(own.grad.numpy(), -expected * part.advantages.numpy(), rtol=1e-4)


@pytest.mark.parametrize("objective", [GrpoObjective(), CispoObjective()])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("steps", [1, 3])
def test_ratios_are_taken_to_the_policy_that_the_update_begins_with_in_all_of_its_steps(objective, mode, steps):
    """A weight of a whole sequence is a factor of its advantage, so an uncorrected trainer can be given both."""
    batch = sampled_nearby(random_batch(12), 0.4)
    own = own_logprobs(batch)
    products = [
        math.exp(sum(here - np.array(item.sequence.old_logprobs)[np.array(item.sequence.loss_mask) == 1]))
        for item, here in zip(batch, own, strict=True)
    ]
    weights = [min(max(p, 0.5), 2.0) if mode == "truncate" else p * (0.5 <= p <= 2.0) for p in products]
    assert weights != products
    by_hand = [with_logprobs(item, here, w) for item, here, w in zip(batch, own, weights, strict=True)]
    ours, plain = trainer(CorrectionConfig(level="sequence", mode=mode, low=0.5), objective), trainer(OFF, objective)
    metrics, expected = ours.update(batch, steps=steps), plain.update(by_hand, steps=steps)
    assert metrics["loss"] == pytest.approx(expected["loss"], rel=1e-4, abs=1e-6)
    assert metrics["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-4)
    assert all(torch.allclose(ours.weights()[name], weight, atol=1e-5) for name, weight in plain.weights().items())


@pytest.mark.parametrize("correction", ALL)
def test_metrics_tell_the_mean_weight_the_share_outside_and_the_effective_sample_size(correction):
    batch = sampled_nearby(random_batch(10), 0.5)
    aside = replace(batch[0], sequence=replace(batch[0].sequence, in_context=False))  # no ratio: in no mean
    metrics = trainer(correction).update([*batch, aside])
    ratios = [
        (here - np.array(item.sequence.old_logprobs)[np.array(item.sequence.loss_mask) == 1]).tolist()
        for item, here in zip(batch, own_logprobs(batch), strict=True)
    ]
    weights = np.concatenate(by_the_formula(ratios, correction.level, correction.mode, 0.5, 2.0))
    uncut = np.concatenate(by_the_formula(ratios, correction.level, "truncate", 0.0, math.inf))
    assert metrics["correction_weight"] == pytest.approx(weights.mean(), rel=1e-4)
    assert metrics["correction_outside"] == pytest.approx(((uncut < 0.5) | (uncut > 2)).mean(), rel=1e-6)
    assert metrics["correction_ess"] == pytest.approx(
        weights.sum() ** 2 / (len(weights) * (weights**2).sum()), rel=1e-4
    )
    assert metrics["ratio_mean"] == pytest.approx(np.exp(np.concatenate(ratios)).mean(), rel=1e-4)  # as without
    assert metrics["clip_fraction"] == 0.0  # of the objective's own ratio, before the first step


@pytest.mark.parametrize("correction", ALL)
@pytest.mark.parametrize("kind", ["whole weights", "an adapter", "legal replies"])
def test_what_the_weights_of_now_sampled_is_trained_as_without_a_correction(kind, correction):
    model = adapted if kind == "an adapter" else tiny_model
    batch = random_batch(8)
    batch = sampled_nearby(among_few(batch) if kind == "legal replies" else batch, 0.0, model=model())
    corrected, plain = trainer(correction, model=model()), trainer(model=model())
    metrics, expected = corrected.update(batch), plain.update(batch)
    told = {name: metrics.pop(f"correction_{name}") for name in ("weight", "outside", "ess")}
    assert told == pytest.approx({"weight": 1.0, "outside": 0.0, "ess": 1.0}, abs=1e-5)
    assert metrics == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_masked_has_no_gradient_and_still_counts_in_the_mean(level):
    batch = sampled_nearby(random_batch(6), 0.05)
    lost = [replace(item, weight=0.0) if i % 2 else item for i, item in enumerate(batch)]
    far = [
        with_logprobs(item, here - 3.0) if i % 2 else item
        for i, (item, here) in enumerate(zip(batch, own_logprobs(batch), strict=True))
    ]
    correction = CorrectionConfig(level=level, mode="mask", high=4.0)
    masked, expected = trainer(correction).update(far), trainer(correction).update(lost)
    assert masked["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert masked["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-5)
    assert masked["correction_outside"] > 0 == expected["correction_outside"]


@pytest.mark.parametrize("correction", ALL)
def test_how_a_batch_is_cut_changes_nothing(correction):
    batch = sampled_nearby(random_batch(12), 0.5)
    whole, cut = (trainer(correction, tokens=tokens).update(batch, steps=2) for tokens in (100_000, 64))
    assert cut == pytest.approx(whole, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_broken_logprobs_are_not_masked_but_stop_the_run(mode):
    batch = random_batch(2)
    broken = with_logprobs(batch[0], np.full(batch[0].sequence.trainable_tokens, math.nan))
    with pytest.raises(RunStopped, match="gradient norm = nan"):
        trainer(CorrectionConfig(level="token", mode=mode)).update([broken, batch[1]])
