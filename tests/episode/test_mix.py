"""The mix between rounds: nobody is starved, recent rounds count most, and both halves of a group stay large enough."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.config import Config
from crl.config.compose import composed
from crl.episode.mix import HALF_LIFE_ROUNDS, Tally, allot, counted, free_members, weights
from crl.types import Completion, Episode, EpisodeKey, Outcome, Task, Turn, TurnKind

CONF = Path(__file__).parents[2] / "conf"
NAMES = ("room", "maze", "keyroom")
shares = st.lists(st.floats(0.01, 10), min_size=1, max_size=6)
counts = st.integers(0, 400).map(float)


def config(*overrides: str) -> Config:
    return composed("quick", list(overrides), CONF)


QUICK = config()  # hypothesis changes it: composing takes a tenth of a second


def changed(section: str, **fields) -> Config:
    return QUICK.model_copy(update={section: getattr(QUICK, section).model_copy(update=fields)})


def episodes(task: str, group: int, free: str, guided: str, round_: int = 0) -> list[Episode]:
    """One group; a 1 is a success."""
    turn = Turn(TurnKind.ACTION, "", Completion("c", (1,), (2,), (-0.1,), "", "stop", 0), "north")
    played = Task(f"{task}/train/1", task, "minihack", "any", 1, 14)
    return [
        Episode(
            EpisodeKey(round_, group, index), played, index >= len(free), (turn,),
            Outcome.SUCCESS if won == "1" else Outcome.TIMEOUT, float(won), 1,
        )
        for index, won in enumerate(free + guided)
    ]  # fmt: skip


@given(shares, st.integers(1, 80))
def test_nobody_is_ahead_by_a_whole_group_nor_behind_by_as_many_as_there_are_others(values, groups):
    wanted, owed = {str(i): value for i, value in enumerate(values)}, {}
    for _ in range(groups):
        _, owed = allot(owed, wanted, 1)
        assert all(-1 < behind < max(1, len(wanted) - 1) for behind in owed.values())
        assert sum(owed.values()) == pytest.approx(0, abs=1e-9)


@given(shares, st.lists(st.integers(0, 9), max_size=8))
def test_many_small_plans_play_what_one_large_one_plays(values, sizes):
    wanted, owed, played = {str(i): value for i, value in enumerate(values)}, {}, []
    for size in sizes:
        names, owed = allot(owed, wanted, size)
        played += names
    whole, owed_at_once = allot({}, wanted, sum(sizes))
    assert sorted(played) == sorted(whole)
    assert owed.items() <= owed_at_once.items()


@given(st.floats(0.05, 0.95), st.lists(st.tuples(counts, st.floats(0, 1)), min_size=3, max_size=3))
def test_no_task_waits_longer_than_its_smallest_weight_demands(follow, known):
    """Whatever was seen of the tasks: among three, a share of s plays at least every 2 / s + 1 groups."""
    tallies = {name: Tally(n, share * n) for name, (n, share) in zip(NAMES, known, strict=True)}
    wanted = weights(changed("tasks", follow_signal=follow), NAMES, tallies)
    least = (1 - follow) / 3
    names, owed = [], {}
    for _ in range(int(3 * (3 / least + 1))):
        (name,), owed = allot(owed, wanted, 1)
        names.append(name)
    for task in NAMES:
        turns = [-1, *(at for at, name in enumerate(names) if name == task), len(names)]
        assert max(b - a for a, b in pairwise(turns)) <= 3 / least + 1


def test_weights_stand_unless_they_are_told_to_follow():
    tallies = {"room": Tally(1e9, 0), "maze": Tally(1e9, 1e9)}
    assert weights(config("tasks.mix.maze.weight=2"), NAMES, tallies) == {"room": 1, "maze": 2, "keyroom": 1}
    following = weights(config("tasks.follow_signal=0.75", "tasks.mix.maze.weight=2"), NAMES, tallies)
    assert following == pytest.approx({"room": 0.25, "maze": 2, "keyroom": 1})  # of keyroom nothing is known


def test_a_round_counts_half_as_much_after_the_half_life():
    seen = counted({}, episodes("room", 0, "01", "11") + episodes("room", 1, "10", "01"), guided=True)
    assert seen == {"room": Tally(4, 3, 4, 2, 4, 3)}
    for _ in range(int(HALF_LIFE_ROUNDS)):
        seen = counted(seen, episodes("maze", 0, "00", "00"), guided=True)
    half = seen["room"]
    assert (half.subgroups, half.with_signal, half.free_won, half.guided_won) == pytest.approx((2, 1.5, 1, 1.5))


def test_what_a_bank_that_guided_nobody_shows_says_nothing_of_its_worth():
    (tally,) = counted({}, episodes("room", 0, "0000", "1111"), guided=False).values()
    assert tally == Tally(2, 0)
    assert tally.utility == 0
    (tally,) = counted({}, episodes("room", 0, "0000", "1111"), guided=True).values()
    assert tally.utility == pytest.approx(5 / 6 - 1 / 6)


@given(st.integers(4, 16), st.data())
def test_both_halves_keep_at_least_two_whatever_the_bank_is_worth(size, data):
    free = data.draw(st.integers(2, size - 2))
    split = {"group_size": size, "free_per_group": free}
    half = st.tuples(counts, st.floats(0, 1))
    (n, won), (m, lost) = data.draw(half), data.draw(half)
    tally = Tally(free=n, free_won=won * n, guided=m, guided_won=lost * m)
    assert 2 <= free_members(changed("rollout", **split, guided_share="utility"), tally) <= size - 2
    assert free_members(changed("rollout", **split), tally) == free


@pytest.mark.parametrize(
    ("guided_won", "free"), [(0, 6), (25, 5), (50, 4), (75, 3), (100, 2)]
)  # of 100, against 50 of 100 free ones: a bank that helps by 25 points moves one of 8
def test_a_bank_that_helps_guides_more_and_one_that_harms_guides_fewer(guided_won, free):
    following = config("rollout.guided_share=utility")
    tally = Tally(free=100, free_won=50, guided=100, guided_won=guided_won)
    assert free_members(following, tally) == free
    assert free_members(following, replace(tally, free=0, free_won=0, guided=0, guided_won=0)) == 4
