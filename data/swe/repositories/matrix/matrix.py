"""Small dense matrices as lists of rows."""


def shape(rows):
    return len(rows), len(rows[0])


def zeros(height, width):
    return [[0] * width for _ in range(height)]


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
