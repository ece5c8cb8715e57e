"""The repository floodfill: flood fill on a grid of letters."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Flood fill on a grid of letters."""


def fill(grid, row, column, colour):
    """A new grid: the connected area around the cell is repainted. Diagonal neighbours do not connect."""
    old = grid[row][column]
    result = [list(line) for line in grid]
    waiting = [(row, column)] if colour != old else []
    while waiting:
        r, c = waiting.pop()
        if result[r][c] != old:
            continue
        result[r][c] = colour
        for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            if 0 <= r + dr < len(grid) and 0 < c + dc < len(grid[0]):
                waiting.append((r + dr, c + dc))
    return ["".join(line) for line in result]
'''
_TESTS = """\
from floodfill import fill


def test_walls_stop_the_paint():
    assert fill(["#.#", "#.#", "#.#"], 1, 1, "o") == ["#o#", "#o#", "#o#"]


def test_the_input_is_not_changed():
    grid = ["#.", "#."]
    fill(grid, 0, 1, "o")
    assert grid == ["#.", "#."]
"""
_HIDDEN = """\


def test_the_first_column_is_painted():
    assert fill(["..", ".."], 0, 1, "#") == ["##", "##"]
    assert fill([".#", ".."], 1, 1, "o") == ["o#", "oo"]


def test_the_start_must_lie_on_the_grid():
    import pytest

    for row, column in ((-1, 0), (0, -2), (2, 0), (0, 3)):
        with pytest.raises(IndexError):
            fill(["...", "..."], row, column, "o")


def test_wide_and_tall_grids():
    assert fill(["#...", "#..."], 0, 3, "o") == ["#ooo", "#ooo"]
    assert fill(["#.", "#.", "#."], 2, 1, "o") == ["#o", "#o", "#o"]


def test_diagonals_do_not_connect():
    assert fill(["#.", ".#"], 0, 1, "o") == ["#o", ".#"]
"""
_ISSUE = """\
The leftmost column is not painted, and negative coordinates are accepted

fill(["..", ".."], 0, 1, "#") leaves the first column as it was. fill(grid, -1, 0, "#") paints from the other end of the
grid; a start that is not on the grid should raise IndexError, on every side.
"""
_OLD = "    old = grid[row][column]\n"
_CHECK = "    if not (0 <= row < len(grid) and 0 <= column < len(grid[0])):\n        raise IndexError((row, column))\n"
RECIPE = Recipe(
    name="floodfill",
    split="train",
    difficulty=2,
    issue=_ISSUE,
    files={"floodfill.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_the_first_column_is_painted", "test_the_start_must_lie_on_the_grid"),
    candidates=(
        (
            Edit("floodfill.py", "0 < c + dc < len(grid[0])", "0 <= c + dc < len(grid[0])"),
            Edit("floodfill.py", _OLD, _CHECK + _OLD),
        ),
        (Edit("floodfill.py", _OLD, _CHECK + _OLD),),
        (
            Edit("floodfill.py", "0 < c + dc < len(grid[0])", "0 <= c + dc < len(grid[0])"),
            Edit(
                "floodfill.py", _OLD, "    if row < 0 or column > len(grid[0]):\n        raise IndexError(row)\n" + _OLD
            ),
        ),
        (
            Edit("floodfill.py", "0 < c + dc < len(grid[0])", "0 <= c + dc < len(grid)"),
            Edit("floodfill.py", _OLD, _CHECK + _OLD),
        ),
    ),
)
