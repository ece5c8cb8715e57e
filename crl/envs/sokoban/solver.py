"""Breadth-first search, both ways: the shortest solution of a board, and the positions so far from solved.

The two searches share no move rules on purpose: one pushes, the other pulls. The generator picks a
start by the second, and the first one's answer is what is recorded, so each checks the other.
"""

from crl.envs.sokoban.board import ACTIONS, Board, cells

_PLAYER_BITS = 7  # a position as one integer: boxes << 7 | player
_PLAYER_MASK = (1 << _PLAYER_BITS) - 1


def solve(board: Board) -> tuple[str, ...] | None:
    """A shortest solution in moves, pushes included; None when there is none. The same one each time."""
    if board.solved:
        return ()
    walls, targets = board.walls, board.targets
    steps = [(index, board.offset(action)) for index, action in enumerate(ACTIONS)]
    start = board.boxes << _PLAYER_BITS | board.player
    came_by: dict[int, tuple[int, int]] = {start: (start, -1)}  # position -> the one before, and the action
    frontier = [start]
    while frontier:
        reached = []
        for position in frontier:
            player, boxes = position & _PLAYER_MASK, position >> _PLAYER_BITS
            for index, step in steps:
                to, pushed = player + step, boxes
                if walls >> to & 1:
                    continue
                if boxes >> to & 1:
                    beyond = to + step
                    if (walls | boxes) >> beyond & 1:
                        continue
                    pushed = boxes ^ 1 << to ^ 1 << beyond
                after = pushed << _PLAYER_BITS | to
                if after in came_by:
                    continue
                came_by[after] = (position, index)
                if pushed == targets:
                    return _retrace(came_by, after)
                reached.append(after)
        frontier = reached
    return None


def _retrace(came_by: dict[int, tuple[int, int]], position: int) -> tuple[str, ...]:
    actions: list[str] = []
    while True:
        position, index = came_by[position]
        if index < 0:
            return tuple(reversed(actions))
        actions.append(ACTIONS[index])


def starts(width: int, walls: int, targets: int, floor: int, moves: int) -> tuple[int, list[tuple[int, int]]]:
    """The positions whose shortest solution has `moves` moves, or the most that this room has, if fewer.

    Pulls boxes off the targets, layer by layer. Returns the length and its (boxes, player) pairs.
    """
    layer = [targets << _PLAYER_BITS | player for player in cells(floor & ~targets)]
    seen, length = set(layer), 0
    while length < moves:
        before = _unmoves(width, walls, layer, seen)
        if not before:
            break
        layer, length = before, length + 1
    return length, [(position >> _PLAYER_BITS, position & _PLAYER_MASK) for position in layer]


def _unmoves(width: int, walls: int, layer: list[int], seen: set[int]) -> list[int]:
    """The positions one move before those of a layer that were not seen yet; adds them to `seen`."""
    found = []
    for position in layer:
        player, boxes = position & _PLAYER_MASK, position >> _PLAYER_BITS
        for step in (-width, width, -1, 1):
            was = player - step
            if (walls | boxes) >> was & 1:
                continue
            options = [boxes << _PLAYER_BITS | was]
            if boxes >> (player + step) & 1:  # this move may have pushed the box ahead
                options.append((boxes ^ 1 << player ^ 1 << (player + step)) << _PLAYER_BITS | was)
            for before in options:
                if before not in seen:
                    seen.add(before)
                    found.append(before)
    return found
