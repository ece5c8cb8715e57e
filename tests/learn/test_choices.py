"""Replies among choices in the trainer: the same distribution as the engine's, and nothing to learn where there was no choice."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from crl.errors import DataError
from crl.learn import scoring
from crl.learn.collate import Denominators, MicroBatch, collate, rows_of
from crl.learn.objectives.grpo import GrpoObjective
from crl.learn.scoring import TokenScorer
from crl.learn.sequences import WeightedSequence, episode_sequence
from crl.learn.trainer import Trainer
from crl.seeding import stream
from tests.learn.samples import VOCAB, adam, random_batch, tiny_model
from tests.learn.test_sequences import completion, episode


def among_few(batch: list[WeightedSequence], seed: int = 0) -> list[WeightedSequence]:
    """The same sequences, each trainable token drawn among it and one to seven others."""
    generator = stream(seed, "choices")

    def ids(token: int) -> tuple[int, ...]:
        others = generator.choice(VOCAB, int(generator.integers(1, 8)), replace=False)
        return tuple(sorted({token, (token + 1) % VOCAB, *map(int, others)}))

    def constrained(item: WeightedSequence) -> WeightedSequence:
        pairs = zip(item.sequence.input_ids, item.sequence.loss_mask, strict=True)
        return replace(
            item, sequence=replace(item.sequence, allowed=tuple(ids(token) if m else () for token, m in pairs))
        )

    return [constrained(item) for item in batch]


def micro_batch(batch: list[WeightedSequence]) -> MicroBatch:
    return collate(rows_of(batch), Denominators.of(batch), "sequence", device=torch.device("cpu"))


def scored(model, part: MicroBatch) -> tuple[torch.Tensor, torch.Tensor]:
    return TokenScorer(model)(part.input_ids, part.rows, part.targets, part.temperatures, part.allowed)


def brute_force(model, batch: list[WeightedSequence]) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probs and entropies from whole forwards, with all other logits at minus infinity."""
    logprobs, entropies = [], []
    for item in batch:
        sequence = item.sequence
        logits_TV = model(torch.tensor([sequence.input_ids])).logits[0] / sequence.temperature
        for at in np.flatnonzero(sequence.loss_mask):
            own = logits_TV[at - 1, list(sequence.allowed[at])].log_softmax(-1)
            logprobs.append(own[sequence.allowed[at].index(sequence.input_ids[at])])
            entropies.append(-(own.exp() * own).sum())
    return torch.stack(logprobs), torch.stack(entropies)


@pytest.mark.parametrize("rows_at_once", [10_000, 7])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_log_probs_entropies_and_gradients_are_those_of_the_softmax_over_the_choices(
    temperature, rows_at_once, monkeypatch
):
    monkeypatch.setattr(scoring, "LOGITS_PER_CHUNK", rows_at_once * VOCAB)
    batch, gradients = among_few(random_batch(5, temperature=temperature)), []
    ours, independent = tiny_model(), tiny_model()
    logprobs, entropies = scored(ours, micro_batch(batch))
    expected, expected_entropies = brute_force(independent, batch)
    assert torch.allclose(logprobs, expected, atol=1e-5)
    assert torch.allclose(entropies, expected_entropies, atol=1e-5)
    weights = torch.linspace(-1, 1, len(expected))
    for model, found in ((ours, logprobs), (independent, expected)):
        (found * weights).sum().backward()
        gradients.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    assert torch.allclose(*gradients, atol=1e-5)
    assert gradients[0].abs().max() > 1e-3


def test_the_reference_of_the_kl_term_has_the_same_choices():
    batch = among_few(random_batch(6))
    learner = Trainer(tiny_model(), adam(), GrpoObjective(kl_coef=0.5), reference_model=tiny_model(), device="cpu")
    assert learner.update(batch)["reference_kl"] == pytest.approx(0.0, abs=1e-7)
    assert learner.update(batch)["reference_kl"] > 1e-6


@pytest.mark.parametrize("tokens", [64, 100_000])
def test_how_a_batch_is_cut_changes_nothing(tokens):
    batch = among_few(random_batch(12))
    whole = Trainer(tiny_model(), adam(micro_batch_tokens=300), GrpoObjective(), device="cpu").update(batch)
    cut = Trainer(tiny_model(), adam(micro_batch_tokens=tokens), GrpoObjective(), device="cpu").update(batch)
    assert cut == pytest.approx(whole, rel=1e-4, abs=1e-6)


def test_a_token_without_an_alternative_is_not_trained_and_the_others_keep_what_they_were_drawn_among():
    first = replace(completion([1, 2], [3, 4, 9], [-0.5, 0.0, 0.0]), allowed=((3, 7), (4,), (9,)))
    second = replace(completion([5], [7, 9], [-0.25, -1.0]), allowed=((3, 7), (8, 9)))
    sequence = episode_sequence(episode(first, second))
    assert sequence.input_ids == (1, 2, 3, 4, 9, 5, 7, 9)
    assert sequence.loss_mask == (0, 0, 1, 0, 0, 0, 1, 1)
    assert [sequence.allowed[at] for at in (2, 6, 7)] == [(3, 7), (3, 7), (8, 9)]
    assert [sequence.old_logprobs[at] for at in (2, 6, 7)] == [-0.5, -0.25, -1.0]
    assert episode_sequence(episode(completion([1], [2]))).allowed == ()


def test_free_replies_beside_choices_are_refused_with_a_remedy():
    free, chosen = completion([1], [3]), replace(completion([1], [3]), allowed=((3, 7),))
    with pytest.raises(DataError, match=r"free replies beside replies among choices.*Remedy: keep one setting"):
        episode_sequence(episode(free, chosen))
    batch = [WeightedSequence(episode_sequence(episode(each)), 1.0) for each in (free, chosen)]
    with pytest.raises(DataError, match=r"free replies beside replies among choices.*Remedy: keep one setting"):
        micro_batch(batch)
