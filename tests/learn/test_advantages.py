"""Subgroup advantages: the method's formulas and their symmetries."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crl.errors import ConfigError
from crl.learn.advantages import mean, mean_std, rloo, subgroup_advantages

rewards = st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=12)
estimators = st.sampled_from([mean, mean_std, rloo])


@given(rewards, estimators)
def test_advantages_of_a_subgroup_sum_to_zero(values, estimator):
    assert sum(subgroup_advantages(values, estimator)) == pytest.approx(0.0, abs=1e-9)


@given(rewards, estimators, st.randoms(use_true_random=False))
def test_the_order_of_episodes_does_not_matter(values, estimator, random):
    order = list(range(len(values)))
    random.shuffle(order)
    straight = subgroup_advantages(values, estimator)
    shuffled = subgroup_advantages([values[i] for i in order], estimator)
    assert shuffled == pytest.approx([straight[i] for i in order], abs=1e-12)


@given(rewards, estimators, st.floats(-5, 5))
def test_a_constant_added_to_all_rewards_changes_nothing(values, estimator, shift):
    shifted = subgroup_advantages([value + shift for value in values], estimator)
    assert shifted == pytest.approx(subgroup_advantages(values, estimator), abs=1e-6)


@given(rewards, st.floats(0.5, 20))
def test_mean_and_rloo_scale_with_the_rewards_and_mean_std_does_not(values, factor):
    scaled = [value * factor for value in values]
    for estimator in (mean, rloo):
        expected = [factor * a for a in subgroup_advantages(values, estimator)]
        assert subgroup_advantages(scaled, estimator) == pytest.approx(expected, abs=1e-9)
    assert subgroup_advantages(scaled, mean_std) == pytest.approx(subgroup_advantages(values, mean_std), abs=1e-4)


@pytest.mark.parametrize("estimator", [mean, mean_std, rloo])
def test_formulas_against_torch_written_out(estimator):
    values = [1.0, 0.0, 0.0, 1.0, 1.0]
    r = torch.tensor(values, dtype=torch.float64)
    expected = {
        mean: r - r.mean(),
        mean_std: (r - r.mean()) / (r.std() + 1e-6),
        rloo: torch.stack([r[i] - torch.cat([r[:i], r[i + 1 :]]).mean() for i in range(len(r))]),
    }[estimator]
    assert subgroup_advantages(values, estimator) == pytest.approx(expected.tolist(), abs=1e-12)


@pytest.mark.parametrize("estimator", [mean, mean_std, rloo])
def test_a_lone_episode_has_no_baseline_and_so_no_advantage(estimator):
    assert subgroup_advantages([1.0], estimator) == (0.0,)


def test_an_estimator_that_forgets_an_episode_is_refused_by_name():
    def forgetful(rewards):
        return rewards[1:]

    with pytest.raises(ConfigError, match=r"forgetful gave 1 advantages for 2 rewards. Remedy: return one for each"):
        subgroup_advantages([0.0, 1.0], forgetful)
