"""A round's plan: shares of the mix by weight, over all rounds."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.config import Config
from crl.config.compose import composed
from crl.episode.plan import fair_order, group_task_names
from crl.errors import ConfigError

CONF = Path(__file__).parents[2] / "conf"
weights = st.sampled_from([0.1, 0.25, 0.3, 1.0, 2.0, 3.0, 7.5]) | st.floats(0.01, 10)


def mix(*weights: float, groups: int) -> Config:
    names = ("room", "maze", "keyroom")
    shares = [f"tasks.mix.{name}.weight={weight}" for name, weight in zip(names, weights, strict=False)]
    return composed("quick", [*shares, f"rollout.groups={groups}"], CONF)


def played(config: Config, names: tuple[str, ...], rounds: int) -> Counter[str]:
    return Counter(name for round_ in range(rounds) for name in group_task_names(config, names, round_))


def test_a_task_of_small_weight_is_played_as_often_as_its_weight_says() -> None:
    config = mix(1, 1, 0.25, groups=4)
    assert played(config, ("room", "maze", "keyroom"), 9) == {"room": 16, "maze": 16, "keyroom": 4}


def test_one_to_two_is_played_one_to_two() -> None:
    config = mix(1, 2, groups=4)
    assert played(config, ("room", "maze"), 3) == {"room": 4, "maze": 8}


@pytest.mark.parametrize("shares", [(0, 1, 1), (2, 0, 1)])
def test_a_task_of_weight_zero_is_never_played(shares: tuple[int, ...]) -> None:
    config, names = mix(*shares, groups=4), ("room", "maze", "keyroom")
    assert played(config, names, 6)[names[shares.index(0)]] == 0
    assert played(config, names, 6).total() == 24


def test_a_mix_of_which_nothing_would_be_trained_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"every weight is 0: nothing would be trained. Remedy"):
        mix(0, 0, 0, groups=4)


@given(st.lists(weights, min_size=2, max_size=6), st.integers(1, 120))
def test_nobody_is_ever_a_whole_group_away_from_their_share(weights: list[float], turns: int) -> None:
    order, counts, whole = fair_order(weights, turns), [0] * len(weights), sum(weights)
    for turn, task in enumerate(order, 1):
        counts[task] += 1
        assert all(abs(n - weight / whole * turn) < 1 for n, weight in zip(counts, weights, strict=True))
    assert fair_order(weights, turns // 2) == order[: turns // 2]  # a round's groups depend on no later round


def test_with_equal_weights_the_groups_left_over_are_drawn_anew_in_each_round() -> None:
    config = mix(1, 1, 1, groups=4)
    names = ("room", "maze", "keyroom")
    extra = [max(names, key=group_task_names(config, names, round_).count) for round_ in range(8)]
    assert extra == ["keyroom", "keyroom", "maze", "room", "keyroom", "room", "maze", "keyroom"]
    assert len(group_task_names(config, names, 0)) == 4
