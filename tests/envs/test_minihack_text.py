"""The two observation styles and the scripts that read one of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crl.envs.minihack.env import MiniHackEnv
from crl.envs.minihack.glyphs import Cell
from crl.envs.minihack.levels import STANDARD
from crl.envs.minihack.paths import COLUMNS, first_steps
from crl.errors import ConfigError
from crl.seeding import stream
from crl.tiny.scripts.minihack import MOVEMENTS, OBJECTS, script
from crl.tiny.slots.minihack import MiniHackSlots, words
from crl.types import Outcome
from tests.envs.minihack_players import KEYROOM, MAZE, ROOM, ULTIMATE, scripted, task

SEEDS = st.integers(min_value=0, max_value=10**7)


@pytest.fixture(scope="module")
def slots():
    env = MiniHackSlots(MiniHackEnv())
    yield env
    env.close()


@pytest.fixture(scope="module")
def grid():
    env = MiniHackEnv()
    yield env
    env.close()


@pytest.mark.parametrize("level", STANDARD)
@settings(max_examples=6, deadline=None)
@given(seed=SEEDS)
def test_slots_use_few_words_of_a_closed_vocabulary(slots, level, seed):
    known, rng = set(words()), stream("words", seed)
    observation = slots.reset(task(level, seed, 40))
    while True:
        said = observation.text.split(" ")
        assert set(said) <= known
        assert 5 <= len(said) <= 10
        result = slots.step(observation.actions[int(rng.integers(len(observation.actions)))])
        if result.done:
            return
        observation = result.observation


def test_slots_mark_where_the_agent_was_and_came_from(slots):
    """To and fro in a lit, empty room: behind is `back`; ahead, once entered, `seen`, then `old`."""
    observation = slots.reset(task("MiniHack-Room-Random-5x5-v0", 1))
    there, back = ("east", "west") if "e:open" in observation.text else ("west", "east")
    assert f"{back[0]}:back" in slots.step(there).observation.text.split()
    assert f"{there[0]}:back" in slots.step(back).observation.text.split()
    slots.step("north" if "n:open" in observation.text else "south")
    texts = [slots.step(action).observation.text for action in (there, back, there)]
    assert [name for name in ("seen", "old") if any(f":{name}" in text for text in texts)] == ["seen", "old"]


def test_bumping_into_a_wall_reads_stuck_and_changes_no_mark(slots):
    observation = slots.reset(task(ROOM, 0))
    while "w:wall" not in observation.text:
        observation = slots.step("west").observation
    bumped = slots.step("west").observation
    assert bumped.text == observation.text.removesuffix(" stuck") + " stuck"


@pytest.mark.parametrize("level", [ROOM, MAZE, KEYROOM, ULTIMATE])
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_the_legend_explains_exactly_the_symbols_on_the_map(grid, level, seed):
    rng, observation = stream("legend", seed), grid.reset(task(level, seed, 20))
    while True:
        lines = observation.text.splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("Map"))
        end = next(i for i, line in enumerate(lines) if line.startswith("Legend: "))
        legend = lines[end].removeprefix("Legend: ").split("; ")
        assert {entry[0] for entry in legend} == set("".join(lines[start + 1 : end])) - {" "}
        assert all(len(entry) > 2 for entry in legend)
        result = grid.step(observation.actions[int(rng.integers(8))])
        if result.done:
            return
        observation = result.observation


def test_the_grid_map_never_forgets_what_was_seen(grid, slots):
    played = task(ROOM, 5_000_001, 14)
    actions, _ = scripted(slots, played, "avoid_stairs")
    observation, sizes = grid.reset(played), []
    for action in actions:
        lines = observation.text.splitlines()
        rows = lines[next(i for i, line in enumerate(lines) if line.startswith("Map")) + 1 : -3]
        sizes.append(sum(symbol != " " for row in rows for symbol in row))
        observation = grid.step(action).observation
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0] + 3


def test_no_way_leads_diagonally_through_a_door():
    """Agent south-west of a door in a wall: first east, then north through it."""
    rows = ["     ", " -+- ", " .@. "]
    kinds = {"-": Cell.WALL, "+": Cell.DOOR, ".": Cell.FLOOR, "@": Cell.FLOOR, " ": Cell.UNSEEN}
    cells = bytes(kinds[symbol] for row in rows for symbol in row.ljust(COLUMNS))
    start, door = 2 * COLUMNS + 1, COLUMNS + 2
    assert first_steps(cells, start, {door}) == {door: "east"}
    assert first_steps(cells, start, {4}) == {}  # beyond what was seen there is no way


@pytest.mark.parametrize(
    ("level", "max_steps", "objects"), [(ROOM, 14, "ignore_key"), (MAZE, 28, "ignore_key"), (KEYROOM, 24, "take_key")]
)
def test_good_advice_is_worth_following(slots, level, max_steps, objects):
    """The scripted ceilings: exploring first wins far more often than wandering, harmful skills never."""
    wins = {
        movement: sum(
            scripted(slots, task(level, 5_000_000 + seed, max_steps), movement, objects)[1].outcome is Outcome.SUCCESS
            for seed in range(60)
        )
        for movement in ("wander", "unvisited", "stay_near")
    }
    assert wins["stay_near"] == 0
    assert wins["wander"] + 10 < wins["unvisited"]
    assert wins["unvisited"] > 0.65 * 60


@pytest.mark.parametrize("movement", MOVEMENTS)
@pytest.mark.parametrize("objects", OBJECTS)
def test_scripted_policies_always_name_an_offered_action(slots, movement, objects):
    for level in (MAZE, KEYROOM, ULTIMATE):
        actions, _ = scripted(slots, task(level, 11, 25), movement, objects if level == KEYROOM else "ignore_key")
        assert set(actions) <= set(slots.reset(task(level, 11)).actions)


def test_a_scripted_policy_knows_nothing_but_the_text():
    """Equal texts, equal choices: there is no other input."""
    (strategy,) = script(ROOM).strategies(("unvisited", "ignore_key"))
    sentence = "n:open e:wall s:back w:open stairs:unseen"
    choices = {strategy.start(stream("x", 1)).act(sentence) for _ in range(5)}
    assert len(choices) == 1
    assert choices <= {"north", "west"}


def test_an_unknown_skill_is_refused_with_the_list():
    with pytest.raises(ConfigError, match=r"unknown \['fly'\].*wander"):
        script(ROOM).strategies(("fly", "take_key"))
