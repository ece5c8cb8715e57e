"""The world of rules: what a kind's rule depends on, which instances are held out, and what is told."""

from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.envs.check import check_env
from crl.envs.contract import TextEnv
from crl.envs.family import TaskRequest
from crl.envs.registry import make_env
from crl.envs.rules.env import RulesEnv
from crl.envs.rules.world import DOORS, KINDS, NEW_KINDS, room_of, rooms, rules
from crl.errors import ConfigError, EnvError
from crl.types import Outcome, Task

STYLES = ("grid", "slots")
LEVELS = (*RulesEnv.levels, "known-3", "new-3")
SPLITS = ("train", "eval")
worlds = st.integers(0, 10**6)


def request(level="known", split="train", count=10**6, source=None):
    return TaskRequest("rules", "rules", level, split, 2, count, 0 if split == "train" else 5_000_000, source)


def task(level="known", split="train", seed=0, max_steps=2):
    return Task(f"{level}/{split}/{seed}", "rules", "rules", level, seed, max_steps, split)


def kinds_of(level, split):
    return {room.kind for room in rooms(level, split)}


@pytest.mark.parametrize(("level", "style"), [*product(LEVELS, STYLES)])
def test_every_level_keeps_the_contract(level, style):
    tasks = list(RulesEnv.task_set(request(level, count=6)))
    assert isinstance(make_env("rules", style), TextEnv)
    assert [finding for finding in check_env(lambda: make_env("rules", style), tasks) if not finding.ok] == []


@given(worlds)
def test_every_kind_has_one_rule_that_the_worlds_seed_alone_decides(world):
    drawn = rules(world)
    rules.cache_clear()
    assert rules(world) == drawn
    assert set(drawn) == set(KINDS)


@given(worlds)
def test_no_door_is_good_more_often_than_another_among_known_and_among_new_kinds(world):
    doors = list(rules(world).values())
    for part in (doors[:NEW_KINDS], doors[NEW_KINDS:]):
        assert set(Counter(part).values()) == {len(part) // len(DOORS)}


def test_another_world_has_other_rules():
    same = sum(rules(0)[kind] == rules(1)[kind] for kind in KINDS)
    assert same < len(KINDS) / 2  # about a quarter by chance


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("level", "split"), [*product(LEVELS, SPLITS)])
def test_one_door_leads_out_and_it_is_the_same_for_all_rooms_of_a_kind(level, split, style):
    env, good = make_env("rules", style), {}
    for instance in list(RulesEnv.task_set(request(level, split)))[::5]:
        outcomes = {}
        for door in DOORS:
            env.reset(instance)
            outcomes[door] = env.step(door).outcome
        assert Counter(outcomes.values()) == {Outcome.SUCCESS: 1, Outcome.DEATH: 3}
        (out,) = (door for door, outcome in outcomes.items() if outcome is Outcome.SUCCESS)
        assert RulesEnv.solution(instance) == (out,)
        assert f"take the {out} door" in RulesEnv.oracle(instance)
        assert good.setdefault(room_of(level, split, instance.seed).kind, out) == out


@given(worlds)
def test_held_out_rooms_are_never_trained_on_and_new_kinds_never_met(world):
    known, new = f"known-{world}", f"new-{world}"
    assert set(rooms(known, "train")).isdisjoint(rooms(known, "eval"))
    assert kinds_of(known, "eval") == kinds_of(known, "train") == kinds_of(new, "train")
    assert kinds_of(new, "eval").isdisjoint(kinds_of(new, "train"))
    assert kinds_of(new, "eval") | kinds_of(new, "train") == set(KINDS)


@pytest.mark.parametrize(("level", "split"), [*product(LEVELS, SPLITS)])
def test_a_task_set_is_finite_and_without_repeats(level, split):
    tasks = list(RulesEnv.task_set(request(level, split)))
    assert len({room_of(level, split, instance.seed) for instance in tasks}) == len(tasks) == len(rooms(level, split))
    assert len(RulesEnv.task_set(request(level, split, count=7))) == 7


def test_the_first_situation_tells_the_kind_and_not_the_rule():
    env = make_env("rules", "slots")
    for instance in RulesEnv.task_set(request(count=50)):
        room = room_of("known", "train", instance.seed)
        assert env.reset(instance).text == " ".join((*room.kind, *room.doors))


def test_a_room_as_a_model_that_reads_sees_it():
    env = make_env("rules", "grid")
    shown = env.reset(task(seed=5))
    assert shown.text == (
        "You are in a harbour. A bear looks at you, and on the floor is a ladder.\n"
        "Doors, from left to right: blue, red, green, white.\nActions: red, blue, green, white"
    )
    assert shown.goal == "Leave by the one door that leads out."
    assert "It is the same whenever you meet this kind of room again." in shown.manual
    refused = env.step("window")
    assert (refused.valid, refused.done) == (False, False)
    assert refused.observation.text == f"'window' is not an action here; the world did not move.\n{shown.text}"
    (good,) = RulesEnv.solution(task(seed=5))
    (bad, *_) = (door for door in DOORS if door != good)
    seen = env.step(bad).observation.text
    assert seen == (
        f"You open the {bad} door. It leads into a trap. From there you see that the {good} door leads out."
    )
    env.reset(task(seed=5))
    assert env.step(good).observation.text == f"You open the {good} door. It leads out."
    assert RulesEnv.oracle(task(seed=5)).startswith("in the harbour with bear and ladder take the ")


def test_what_cannot_be_played_is_refused_with_a_remedy():
    for level in ("", "old", "known-", "known-x"):
        with pytest.raises(EnvError, match=r"no level of rules. Remedy: known or new"):
            RulesEnv().reset(task(level))
    with pytest.raises(EnvError, match=r"split = 'test'.* Remedy: use one of train, eval"):
        RulesEnv().reset(task(split="test"))
    with pytest.raises(EnvError, match=r"without a running episode. Remedy"):
        RulesEnv().step("red")
    with pytest.raises(ConfigError, match=r"source = 'rooms.txt': rules draws its rooms. Remedy"):
        RulesEnv.task_set(request(source="rooms.txt"))
