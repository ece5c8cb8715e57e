"""The way to things already seen: breadth-first over the agent's own memory, by NetHack's rules of walking.

Nothing here looks at the level itself: a way exists only through cells that the agent has seen.
"""

from collections.abc import Collection

from crl.envs.minihack.directions import ORTHOGONAL, STEPS
from crl.envs.minihack.glyphs import Cell

COLUMNS = 79
_MOVES = [
    (direction, STEPS[direction][1] * COLUMNS + STEPS[direction][0], direction not in ORTHOGONAL)
    for direction in sorted(STEPS, key=lambda direction: direction not in ORTHOGONAL)
]
_ENTERABLE = frozenset(
    map(int, (Cell.FLOOR, Cell.OPEN_DOOR, Cell.STAIRS, Cell.KEY, Cell.ITEM))
)  # traps are walked around
_DOORS = frozenset(map(int, (Cell.DOOR, Cell.OPEN_DOOR)))  # no diagonal step leads into or out of these


def first_steps(cells: bytes, start: int, goals: Collection[int]) -> dict[int, str]:
    """Goal -> direction of the first step of a shortest way there, for the goals that can be reached.

    `cells` are the map's cell kinds row by row; positions are y * COLUMNS + x. Goals themselves need
    not be enterable (a closed door, a boulder).
    """
    cells += bytes(COLUMNS + 1)  # rock below the last row
    first, queue, found = {start: ""}, [start], {}
    for at in queue:
        for direction, offset, diagonal in _MOVES:
            to = at + offset
            kind = cells[to]
            if to in first or (kind not in _ENTERABLE and to not in goals):
                continue
            if diagonal and (kind in _DOORS or cells[at] in _DOORS):
                continue
            first[to] = first[at] or direction
            if to in goals:
                found[to] = first[to]
                if len(found) == len(goals):
                    return found
            if kind in _ENTERABLE:
                queue.append(to)
    return found
