from floodfill import fill


def test_walls_stop_the_paint():
    assert fill(["#.#", "#.#", "#.#"], 1, 1, "o") == ["#o#", "#o#", "#o#"]


def test_the_input_is_not_changed():
    grid = ["#.", "#."]
    fill(grid, 0, 1, "o")
    assert grid == ["#.", "#."]
# Hidden from the agent from here on: the task's test patch appends it.


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
