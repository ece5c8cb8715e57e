"""MiniHack through the text contract, over the real engine."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crl.envs.check import check_env
from crl.envs.errors import EnvError
from crl.envs.minihack.game import Game
from crl.envs.minihack.glyphs import Cell
from crl.envs.minihack.levels import STANDARD
from crl.envs.registry import make_env
from crl.seeding import stream
from crl.types import Outcome
from tests.envs.minihack_players import KEYROOM, MAZE, ROOM, ULTIMATE, scripted, task

SEEDS = st.integers(min_value=0, max_value=10**7)


@pytest.fixture(scope="module")
def slots():
    env = make_env("minihack", "slots")
    yield env
    env.close()


@pytest.fixture(scope="module")
def grid():
    env = make_env("minihack", "grid")
    yield env
    env.close()


@pytest.fixture(scope="module")
def games():
    """Raw engines, as the oracle of what the engine really showed."""
    opened = {level: Game(level) for level in (ROOM, MAZE, KEYROOM, ULTIMATE)}
    yield opened
    for game in opened.values():
        game.close()


@pytest.mark.parametrize("style", ["slots", "grid"])
@pytest.mark.parametrize("level", STANDARD)
def test_every_standard_level_keeps_the_contract(level, style):
    findings = check_env(lambda: make_env("minihack", style), [task(level, seed, 25) for seed in range(3)])
    assert [finding for finding in findings if not finding.ok] == []


@pytest.mark.parametrize(
    ("level", "landmark", "symbol"),
    [
        (ROOM, "stairs", ">"),
        (MAZE, "stairs", ">"),
        (ULTIMATE, "stairs", ">"),
        (KEYROOM, "key", "("),
        (KEYROOM, "door", "+"),
    ],
)
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_a_direction_appears_exactly_when_the_engine_has_shown_the_thing(slots, games, level, landmark, symbol, seed):
    """Fog of war: the raw engine plays the same actions, and its screens tell what was in view so far."""
    observation, frame = slots.reset(task(level, seed)), games[level].reset(seed)
    seen = ord(symbol) in frame.chars
    rng = stream("fog", seed)
    while True:
        word = next(word for word in observation.text.split() if word.startswith(f"{landmark}:"))
        assert (word != f"{landmark}:unseen") == seen, observation.text
        action = ("north", "east", "south", "west")[int(rng.integers(4))]
        result, (frame, _) = slots.step(action), games[level].step(action)
        if result.done:
            return
        seen = seen or ord(symbol) in frame.chars
        observation = result.observation


def test_a_corpse_on_the_stairs_does_not_make_the_agent_forget_them(slots):
    slots.reset(task(ULTIMATE, 3682))
    for action in ("south", "east", "west", "east", "west", "east"):
        slots.step(action)
    killed = slots.step("north").observation
    assert slots.env.world.message == "You destroy the kobold zombie!"
    assert killed.text.split()[:5] == ["n:stairs", "e:wall", "s:open", "w:back", "stairs:north"]


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_following_the_stairs_word_reaches_seen_stairs_the_shortest_way(slots, seed):
    """In the lit, empty room the stairs are in view: king's moves, one per step, no bump."""
    observation = slots.reset(task("MiniHack-Room-Random-5x5-v0", seed))
    x, y = slots.env.world.here
    stairs_y, stairs_x = (int(axis[0]) for axis in (slots.env.world.cells == Cell.STAIRS).nonzero())
    for _ in range(max(abs(stairs_x - x), abs(stairs_y - y))):
        direction = observation.text.split()[4].removeprefix("stairs:")
        result = slots.step(direction)
        observation = result.observation
    assert result.outcome is Outcome.SUCCESS


@pytest.mark.parametrize("level", [ROOM, ULTIMATE, KEYROOM])
def test_position_and_health_are_the_engines_own(grid, games, level):
    healths = set()
    for seed in range(8):
        rng = stream("status", seed)
        observation, frame = grid.reset(task(level, seed)), games[level].reset(seed)
        while True:
            x, y, hp, max_hp = (int(frame.blstats[index]) for index in (0, 1, 10, 11))
            assert f"Position: x={x}, y={y}. Health: {hp} of {max_hp}." in observation.text
            healths.add(hp == max_hp)
            action = observation.actions[int(rng.integers(8))]
            result, (frame, _) = grid.step(action), games[level].step(action)
            if result.done:
                break
            observation = result.observation
    assert True in healths
    assert (False in healths) == (level == ULTIMATE)  # there a monster hurts


def test_death_timeout_and_success_are_told_apart(slots):
    _, died = scripted(slots, task(ULTIMATE, 3, max_steps=100), "stay_near")
    assert (died.outcome, died.terminated, died.truncated, died.reward) == (Outcome.DEATH, True, False, 0.0)
    _, late = scripted(slots, task(ROOM, 3, max_steps=14), "stay_near")
    assert (late.outcome, late.terminated, late.truncated, late.reward) == (Outcome.TIMEOUT, False, True, 0.0)
    _, won = scripted(slots, task(ROOM, 1, max_steps=30), "unvisited")
    assert (won.outcome, won.terminated, won.truncated, won.reward) == (Outcome.SUCCESS, True, False, 1.0)


def test_success_on_the_last_allowed_step_counts_and_one_step_later_does_not(slots):
    actions, won = scripted(slots, task(KEYROOM, 2, max_steps=100), "unvisited", "take_key")
    assert won.outcome is Outcome.SUCCESS
    for limit, outcome in ((len(actions), Outcome.SUCCESS), (len(actions) - 1, Outcome.TIMEOUT)):
        slots.reset(task(KEYROOM, 2, max_steps=limit))
        for action in actions[:limit]:
            result = slots.step(action)
        assert result.outcome is outcome


def test_our_step_limit_rules_also_beyond_the_engines_own(slots):
    """MiniHack ends this level after 100 steps by itself; the task allows more."""
    actions, late = scripted(slots, task(ROOM, 3, max_steps=150), "stay_near")
    assert (len(actions), late.outcome) == (150, Outcome.TIMEOUT)


def test_key_room_is_won_with_the_key_and_never_without():
    env = make_env("minihack", "slots")
    for seed in range(15):
        actions, result = scripted(env, task(KEYROOM, seed, max_steps=24), "unvisited", "take_key")
        assert result.outcome is Outcome.SUCCESS
        assert "pick_up" in actions
        assert "apply" in actions
        _, result = scripted(env, task(KEYROOM, seed, max_steps=24), "unvisited", "ignore_key")
        assert result.outcome is Outcome.TIMEOUT
    env.close()


def test_picking_up_the_key_shows_in_the_inventory(grid, slots):
    played = task(KEYROOM, 2, max_steps=50)
    actions, _ = scripted(slots, played, "unvisited", "take_key")
    observation = grid.reset(played)
    assert "key" not in _line(observation.text, "Inventory")
    for action in actions[: actions.index("pick_up") + 1]:
        observation = grid.step(action).observation
    assert "a key named The Master Key of Thievery" in _line(observation.text, "Inventory")
    assert "key" in _line(observation.text, "Message")


def test_an_invalid_action_is_refused_with_feedback_and_moves_nothing(grid):
    before = grid.reset(task(KEYROOM, 0)).text
    result = grid.step("open sesame")
    assert (result.valid, result.done, result.reward, result.outcome) == (False, False, 0.0, None)
    assert "'open sesame' is not an action here" in result.observation.text
    assert result.observation.text.endswith(before)


def test_actions_are_those_of_the_level(slots):
    compass = {"north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest"}
    assert set(slots.reset(task(ROOM, 0)).actions) == compass
    assert set(slots.reset(task(KEYROOM, 0)).actions) == compass | {"pick_up", "apply"}


def test_an_unknown_level_names_its_neighbours(slots):
    with pytest.raises(EnvError, match="did you mean MiniHack-Room-Dark-5x5-v0"):
        slots.reset(task("MiniHack-Room-Drak-5x5-v0", 0))


def test_a_level_whose_package_is_missing_says_so(slots):
    with pytest.raises(EnvError, match="lacks what the level needs"):
        slots.reset(task("MiniHack-MultiRoom-N2-v0", 0))


def _line(text: str, head: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"{head}:"))
