"""Sokoban's rules, solver and generator, each against an independent account of the game."""

import json
import subprocess
import sys

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crl.envs.sokoban.board import ACTIONS, parse
from crl.envs.sokoban.generator import LONGEST, SHORTEST, canonical, generate
from crl.envs.sokoban.solver import solve
from crl.errors import EnvError
from tests.envs.sokoban_boards import STEPS, board, images, random_play, shortest, things

SEEDS = st.integers(min_value=0, max_value=10**7)
LEVELS = st.sampled_from(["5x5-1", "6x6-1", "6x6-2", "5x7-3", "7x7-2"])


@st.composite
def any_board(draw) -> str:
    """5x5 boards of every kind: solved, unsolvable, crowded."""
    boxes = draw(st.integers(1, 2))
    inside = draw(st.permutations("W" * draw(st.integers(0, 2)) + "A" + "B" * boxes + "G" * boxes + "." * 9))[:9]
    rows = ["WWWWW", *("W" + "".join(inside[start : start + 3]) + "W" for start in (0, 3, 6)), "WWWWW"]
    text = "\n".join(rows)
    assume(text.count("A") == 1 and text.count("B") == text.count("G") > 0)
    return text


@settings(max_examples=60, deadline=None)
@given(level=LEVELS, seed=SEEDS)
def test_random_play_follows_the_rules(level, seed):
    """Walls and targets stay, boxes are conserved, and each move is a step, a push by one, or nothing at all."""
    for before, action, after in random_play(generate(level, seed, "train"), seed):
        walls, targets, boxes, player = things(str(before))
        now_walls, now_targets, now_boxes, now_player = things(str(after))
        assert (now_walls, now_targets, len(now_boxes)) == (walls, targets, len(boxes))
        row, column = STEPS[action]
        to, beyond = (player[0] + row, player[1] + column), (player[0] + 2 * row, player[1] + 2 * column)
        if to in walls or (to in boxes and beyond in walls | boxes):
            assert after is before
        else:
            assert now_player == to
            assert now_boxes == (boxes - {to} | {beyond} if to in boxes else boxes)


@settings(max_examples=60, deadline=None)
@given(level=LEVELS, seed=SEEDS)
def test_a_boards_text_says_everything(level, seed):
    for _, _, after in random_play(generate(level, seed, "eval"), seed, moves=20):
        assert parse(str(after)) == after


@settings(max_examples=60, deadline=None)
@given(level=LEVELS, seed=SEEDS, split=st.sampled_from(["train", "eval"]))
def test_the_solver_wins_every_generated_board_in_the_fewest_moves(level, seed, split):
    start = generate(level, seed, split)
    actions = solve(start)
    assert SHORTEST <= len(actions) <= LONGEST
    assert len(actions) == shortest(str(start))
    position = start
    for count, action in enumerate(actions):
        assert not position.solved, f"solved after {count} of {len(actions)} moves"
        position = position.after(action)
    assert position.solved


@settings(max_examples=200, deadline=None)
@given(text=any_board())
def test_the_solver_agrees_with_brute_force_on_any_small_board(text):
    actions = solve(parse(text))
    assert (None if actions is None else len(actions)) == shortest(text)


def test_a_board_without_a_solution_has_none():
    assert solve(board("WWWWW", "WB..W", "W.A.W", "W..GW", "WWWWW")) is None


def test_boards_are_varied():
    boards = [generate("6x6-2", seed, "train") for seed in range(300)]
    lengths = [len(solve(start)) for start in boards]
    assert len({canonical(str(start)) for start in boards}) > 270
    assert set(range(2, 19)) <= set(lengths)
    assert max(lengths) >= 20
    assert sum(length <= 8 for length in lengths) > 120
    assert sum(start.placed == 0 for start in boards) > 150


def test_a_bounded_level_holds_short_solutions_only():
    assert {len(solve(generate("6x6-2-max6", seed, "train"))) for seed in range(100)} == {2, 3, 4, 5, 6}


def test_other_processes_generate_the_same_boards():
    code = (
        "import json; from crl.envs.sokoban.generator import generate;"
        "print(json.dumps([str(generate(level, seed, split)) for level in ('6x6-2', '7x7-2')"
        " for seed in range(20) for split in ('train', 'eval')]))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": salt}, capture_output=True, check=True)
        for salt in ("1", "2")
    ]
    here = [
        str(generate(level, seed, split))
        for level in ("6x6-2", "7x7-2")
        for seed in range(20)
        for split in ("train", "eval")
    ]
    assert [json.loads(run.stdout) for run in runs] == [here, here]


@pytest.mark.parametrize("level", ["6x6-2", "6x6-1", "5x7-2"])
def test_no_room_is_in_both_splits_not_even_turned_or_mirrored(level):
    def rooms(split):
        starts = [generate(level, seed, split) for seed in range(400)]
        return [str(start).translate(str.maketrans("BAC@", "..GG")) for start in starts]

    held_out = set().union(*(images(room) for room in rooms("eval")))
    assert held_out.isdisjoint(rooms("train"))


@settings(max_examples=40, deadline=None)
@given(level=LEVELS, seed=SEEDS)
def test_the_canonical_form_is_one_of_the_eight_images_and_the_same_for_all(level, seed):
    text = str(generate(level, seed, "train"))
    assert canonical(text) in images(text)
    assert {canonical(image) for image in images(text)} == {canonical(text)}


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        (("WWWWW", "WA.BW", "W..GW", "WWWW"), "not of one length"),
        (("WWWWW", "WA.BW", "W..G.", "WWWWW"), "not closed by walls"),
        (("WWWWW", "WA.BW", "W..xW", "WWWWW"), "unknown symbols"),
        (("WWWWW", "WA.BW", "WA.GW", "WWWWW"), "2 players, 1 boxes and 1 targets"),
        (("WWWWW", "WA.BW", "W...W", "WWWWW"), "1 players, 1 boxes and 0 targets"),
        (("WWWWW", "WA..W", "W...W", "WWWWW"), "1 players, 0 boxes and 0 targets"),
        (("",), "not of one length"),
    ],
)
def test_a_damaged_board_is_refused_with_its_fault(rows, fault):
    with pytest.raises(EnvError, match=rf"{fault}.*Remedy"):
        board(*rows)


@pytest.mark.parametrize("level", ["6x6", "4x6-2", "6x9-1", "6x6-4", "6x6-2-max1", "6x6-2-max26", "10x10-2", "easy"])
def test_an_unknown_level_is_refused_with_the_grammar(level):
    with pytest.raises(EnvError, match=r"no such Sokoban level. Remedy: <width>x<height>-<boxes>"):
        generate(level, 0, "train")


def test_actions_are_the_papers():
    assert ACTIONS == ("up", "down", "left", "right")
