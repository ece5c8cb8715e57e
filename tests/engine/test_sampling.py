"""One uniform number per (request, token); exact probabilities; truncation by request."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crl.engine.protocol import Sampling
from crl.engine.sampling import _truncate, sample, uniforms
from crl.errors import EngineError

LOGITS_V = torch.tensor([2.0, 1.0, 0.5, -1.0, 2.0, -30.0])


def draw(logits_V: torch.Tensor, sampling: Sampling, draws: int) -> np.ndarray:
    rows = [Sampling(**{**fields(sampling), "seed": seed}) for seed in range(draws)]
    tokens, _ = sample(logits_V.expand(draws, -1), rows, [0] * draws)
    return np.bincount(tokens, minlength=len(logits_V)) / draws


def fields(sampling: Sampling) -> dict:
    return {name: getattr(sampling, name) for name in Sampling.__slots__}


def test_uniforms_are_uniform_and_uncorrelated_over_seeds_and_counters():
    seeds = np.repeat(np.arange(200), 200)
    u = uniforms(seeds.tolist(), np.tile(np.arange(200), 200).tolist())
    assert abs(u.mean() - 0.5) < 0.01
    assert abs(u.std() - 12**-0.5) < 0.01
    assert u.min() >= 0
    assert u.max() < 1
    grid = u.reshape(200, 200)
    assert abs(np.corrcoef(grid[:, :-1].ravel(), grid[:, 1:].ravel())[0, 1]) < 0.02  # consecutive tokens
    assert abs(np.corrcoef(grid[:-1].ravel(), grid[1:].ravel())[0, 1]) < 0.02  # consecutive seeds


def test_uniforms_are_splitmix64_as_written_down_with_plain_integers():
    def mix(z: int) -> int:
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        return z ^ (z >> 31)

    pairs = [(0, 0), (7, 3), (2**63 - 1, 8191), (2**80 + 5, 1)]
    expected = [(mix((mix(s % 2**64) + (c + 1) * 0x9E3779B97F4A7C15) % 2**64) >> 12) / 2**52 for s, c in pairs]
    assert uniforms([s for s, _ in pairs], [c for _, c in pairs]).tolist() == expected


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_match_the_softmax_at_that_temperature(temperature):
    expected = (LOGITS_V.double() / temperature).softmax(-1).numpy()
    assert draw(LOGITS_V, Sampling(temperature=temperature), 20_000) == pytest.approx(expected, abs=0.012)


def test_greedy_takes_the_first_of_equal_maxima_and_reports_probabilities_at_temperature_one():
    tokens, logprobs = sample(LOGITS_V[None], [Sampling(temperature=0)], [0])
    assert tokens == [0]
    assert logprobs[0] == pytest.approx(LOGITS_V.double().log_softmax(-1)[0].item(), abs=1e-12)


def test_top_k_keeps_the_k_likeliest_and_breaks_ties_by_id():
    assert np.flatnonzero(draw(LOGITS_V, Sampling(top_k=1), 200)).tolist() == [0]
    assert np.flatnonzero(draw(LOGITS_V, Sampling(top_k=3), 2000)).tolist() == [0, 1, 4]


def test_top_p_keeps_the_shortest_prefix_that_reaches_p():
    # probabilities .37 .14 .08 .02 .37 0: .37 + .37 = .74 < .8 <= .88
    assert np.flatnonzero(draw(LOGITS_V, Sampling(top_p=0.8), 2000)).tolist() == [0, 1, 4]
    assert np.flatnonzero(draw(LOGITS_V, Sampling(top_p=1e-9), 200)).tolist() == [0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=9),
    st.integers(0, 10),
    st.floats(0.05, 1.0),
    st.integers(1, 9),
)
def test_truncation_keeps_what_a_sort_of_the_whole_vocabulary_keeps(levels, top_k, top_p, head):
    """Whatever number of tokens is looked at first, and with ties."""
    weights_V = 2.0 ** -torch.tensor(levels, dtype=torch.float64)
    kept, mass = [], 0.0
    for rank, token in enumerate(sorted(range(len(levels)), key=lambda token: (levels[token], token))[: top_k or None]):
        if rank == 0 or top_p >= 1 or mass < top_p * sum(sorted(weights_V.tolist(), reverse=True)[: top_k or None]):
            kept.append(token)
        mass += weights_V[token].item()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crl.engine.sampling._HEAD", head)
        (left_V,) = _truncate(weights_V[None], [Sampling(top_k=top_k, top_p=top_p)])
    assert left_V.nonzero().flatten().tolist() == sorted(kept)
    assert left_V[kept].tolist() == weights_V[kept].tolist()


def test_logprobs_are_of_the_whole_distribution_even_when_truncated():
    tokens, logprobs = sample(LOGITS_V[None], [Sampling(top_k=1, temperature=0.7)], [0])
    assert logprobs[0] == pytest.approx((LOGITS_V.double() / 0.7).log_softmax(-1)[tokens[0]].item(), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_row_is_sampled_alike_alone_and_among_any_others(data):
    rows = data.draw(st.integers(1, 6))
    samplings = [
        Sampling(
            temperature=data.draw(st.sampled_from([0.0, 0.6, 1.0])),
            top_p=data.draw(st.sampled_from([0.5, 1.0])),
            top_k=data.draw(st.sampled_from([0, 2])),
            seed=data.draw(st.integers(0, 2**63 - 1)),
        )
        for _ in range(rows)
    ]
    counters = data.draw(st.lists(st.integers(0, 5000), min_size=rows, max_size=rows))
    logits_BV = torch.randn(rows, 50, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 99))))
    tokens, logprobs = sample(logits_BV, samplings, counters)
    for row in range(rows):
        alone = sample(logits_BV[row : row + 1], [samplings[row]], [counters[row]])
        assert alone[0] == [tokens[row]]
        assert alone[1] == pytest.approx([logprobs[row]], abs=1e-12)


def test_impossible_tokens_are_never_drawn():
    logits_V = torch.tensor([float("-inf"), 0.0, float("-inf"), 0.0, float("-inf")])
    assert np.flatnonzero(draw(logits_V, Sampling(), 500)).tolist() == [1, 3]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_an_error_not_a_token(bad):
    with pytest.raises(EngineError, match="not finite"):
        sample(torch.tensor([[0.0, bad]]), [Sampling()], [0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_callers_logits_stay_as_they_were(dtype):
    """Sampling computes in float64, in place."""
    logits_BV = torch.randn(3, 40, dtype=dtype, generator=torch.Generator().manual_seed(0))
    before = logits_BV.clone()
    samplings = [Sampling(temperature=0), Sampling(temperature=0.7, top_p=0.9), Sampling(temperature=2.0, top_k=3)]
    sample(logits_BV, samplings, [0, 1, 2], never_N=torch.tensor([0, 7]))
    assert torch.equal(logits_BV, before)


def test_greedy_takes_the_likeliest_of_what_may_be_said_however_unlikely():
    logits_V = torch.tensor([0.0, -2000.0, -1500.0, 5.0])
    tokens, _ = sample(logits_V[None], [Sampling(temperature=0)], [0], never_N=torch.tensor([0, 3]))
    assert tokens == [2]
