"""The repository matrix: small dense matrices as lists of rows."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Small dense matrices as lists of rows."""


def shape(rows):
    return len(rows), len(rows[0])


def zeros(height, width):
    return [[0] * width] * height


def transpose(rows):
    return [list(column) for column in zip(*rows)]


def multiply(left, right):
    height, inner = shape(left)
    if inner != shape(right)[0]:
        raise ValueError("shapes do not match")
    width = shape(right)[1]
    return [[sum(left[i][k] * right[k][j] for k in range(inner)) for j in range(width)] for i in range(height)]


def identity(size):
    rows = zeros(size, size)
    for i in range(size):
        rows[i][i] = 1
    return rows
'''
_TESTS = """\
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
"""
_HIDDEN = """\


def test_identity():
    from matrix import identity

    assert identity(2) == [[1, 0], [0, 1]]
    assert multiply([[5, 6], [7, 8]], identity(2)) == [[5, 6], [7, 8]]


def test_rows_are_independent():
    rows = zeros(2, 2)
    rows[0][0] = 9
    assert rows == [[9, 0], [0, 0]]
"""
_ISSUE = """\
identity(2) is [[1, 1], [1, 1]]

Multiplying by identity(n) does not give the matrix back. It seems that setting one element of a fresh matrix sets it
in every row.
"""
RECIPE = Recipe(
    name="matrix",
    split="eval",
    difficulty=2,
    issue=_ISSUE,
    files={"matrix.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_identity", "test_rows_are_independent"),
    candidates=(
        (Edit("matrix.py", "return [[0] * width] * height", "return [[0] * width for _ in range(height)]"),),
        (Edit("matrix.py", "return [[0] * width] * height", "return [[0] * height for _ in range(width)]"),),
        (Edit("matrix.py", "    rows = zeros(size, size)\n", "    rows = [[0] * size for _ in range(size)]\n"),),
        (Edit("matrix.py", "return [[0] * width] * height", "return list([[0] * width] * height)"),),
    ),
)
