import pytest

from matrix import multiply, shape, transpose, zeros


def test_zeros():
    assert zeros(2, 3) == [[0, 0, 0], [0, 0, 0]]
    assert shape(zeros(2, 3)) == (2, 3)


def test_transpose():
    assert transpose([[1, 2, 3], [4, 5, 6]]) == [[1, 4], [2, 5], [3, 6]]


def test_multiply():
    assert multiply([[1, 2]], [[3], [4]]) == [[11]]
    with pytest.raises(ValueError):
        multiply([[1, 2]], [[3, 4]])
# Hidden from the agent from here on: the task's test patch appends it.


def test_identity():
    from matrix import identity

    assert identity(2) == [[1, 0], [0, 1]]
    assert multiply([[5, 6], [7, 8]], identity(2)) == [[5, 6], [7, 8]]


def test_rows_are_independent():
    rows = zeros(2, 2)
    rows[0][0] = 9
    assert rows == [[9, 0], [0, 0]]
