"""Flood fill on a grid of letters."""


def fill(grid, row, column, colour):
    """A new grid: the connected area around the cell is repainted. Diagonal neighbours do not connect."""
    if not (0 <= row < len(grid) and 0 <= column < len(grid[0])):
        raise IndexError((row, column))
    old = grid[row][column]
    result = [list(line) for line in grid]
    waiting = [(row, column)] if colour != old else []
    while waiting:
        r, c = waiting.pop()
        if result[r][c] != old:
            continue
        result[r][c] = colour
        for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            if 0 <= r + dr < len(grid) and 0 <= c + dc < len(grid[0]):
                waiting.append((r + dr, c + dc))
    return ["".join(line) for line in result]
