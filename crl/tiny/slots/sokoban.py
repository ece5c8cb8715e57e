"""The `slots` style: a short sentence of fixed layout for models with a vocabulary of a few hundred words.

    u:floor d:wall l:near r:blocked box:here spot:here done:1
    u:goal d:floor l:floor r:wall box:left spot:up done:0 still

The four neighbours come first. A neighbour that is a box says what pushing it now would do, by one
look at the board and no search: `home` (onto a free target), `near` (nearer to the targets), `away`
(not nearer), `corner` (into a corner that is no target: it never comes out again), `blocked`.
Then two walks over free floor, as the first step of the shortest one: `box` to a side from which some
box that is not on a target can be pushed at all, `spot` to a side from which some push is `home` or
`near`; "here" when the player stands there, "none" when there is no such place in reach. Then how
many boxes are `done`; `still` when the last action moved nothing; `lost` once a box is in a corner.

"Nearer" means the smallest total of row and column distances over all ways to give each box a target of
its own. Walls and the boxes' way around each other are left out, so the sentence can mislead: it is
advice of one push ahead, never the solver's answer.
"""

from functools import lru_cache
from itertools import permutations

from crl.envs.contract import Observation, StepResult
from crl.envs.sokoban.board import ACTIONS, Board, cells
from crl.envs.sokoban.env import SokobanEnv
from crl.envs.sokoban.generator import MAX_BOXES
from crl.tiny.slots.wrapper import SlotsEnv
from crl.types import Task

GOAL = "sokoban: push every box onto a goal"

SIDES = dict(zip("udlr", ACTIONS, strict=True))
GOOD_PUSHES = ("home", "near")
PUSHES = (*GOOD_PUSHES, "away", "corner")
PLACES = (*ACTIONS, "here", "none")


class SokobanSlots(SlotsEnv[SokobanEnv]):
    """Four neighbours, two walks, and what is done."""

    goal = GOAL

    def begin(self, task: Task, shown: Observation) -> None:
        self._still = False

    def sentence(self) -> str:
        return describe(self.env.board, self._still)

    def act(self, action: str) -> StepResult:
        result = self.env.step(action)
        self._still = not result.info["moved"]
        return result


def words() -> tuple[str, ...]:
    """Every word this style can produce, for tokenizers that shall know them all."""
    marks = ("floor", "goal", "wall", "blocked", *PUSHES)
    return (
        *(f"{side}:{mark}" for side in SIDES for mark in marks),
        *(f"{name}:{place}" for name in ("box", "spot") for place in PLACES),
        *(f"done:{count}" for count in range(MAX_BOXES + 1)),
        "still",
        "lost",
    )


def describe(board: Board, still: bool) -> str:
    """The sentence for a position; `still`: the last action moved nothing."""
    pushes = {(box, action): _push(board, box, action) for box in cells(board.boxes) for action in ACTIONS}
    movable, useful = set(), set()  # cells to push from
    for (box, action), mark in pushes.items():
        if mark in PUSHES and _misplaced(board, box):
            movable.add(box - board.offset(action))
        if mark in GOOD_PUSHES:
            useful.add(box - board.offset(action))
    walks = _walks(board)
    parts = [f"{side}:{_mark(board, action, pushes)}" for side, action in SIDES.items()]
    parts += [f"box:{_toward(walks, movable)}", f"spot:{_toward(walks, useful)}"]
    parts.append(f"done:{board.placed}")
    if still:
        parts.append("still")
    if any(_corner(board, box) for box in cells(board.boxes)):
        parts.append("lost")
    return " ".join(parts)


def _mark(board: Board, action: str, pushes: dict[tuple[int, str], str]) -> str:
    cell = board.player + board.offset(action)
    if board.walls >> cell & 1:
        return "wall"
    return pushes.get((cell, action)) or ("goal" if board.targets >> cell & 1 else "floor")


def _toward(walks: dict[int, str], places: set[int]) -> str:
    """The first step to the nearest of the places; "none" when no walk gets there."""
    return next((step for cell, step in walks.items() if cell in places), "none")


def _push(board: Board, box: int, action: str) -> str:
    """What pushing this box this way would do, wherever the player stands now."""
    beyond = box + board.offset(action)
    if (board.walls | board.boxes) >> beyond & 1:
        return "blocked"
    if _corner(board, beyond):
        return "corner"
    if _misplaced(board, box) and board.targets >> beyond & 1:
        return "home"
    nearer = _distance(board.width, board.boxes ^ 1 << box ^ 1 << beyond, board.targets) < _distance(
        board.width, board.boxes, board.targets
    )
    return "near" if nearer else "away"


def _misplaced(board: Board, box: int) -> bool:
    return not board.targets >> box & 1


def _corner(board: Board, cell: int) -> bool:
    """A cell that is no target, with a wall beside it and one above or below."""
    if board.targets >> cell & 1:
        return False
    upright = board.walls >> (cell - board.width) & 1 or board.walls >> (cell + board.width) & 1
    return bool(upright and (board.walls >> (cell - 1) & 1 or board.walls >> (cell + 1) & 1))


@lru_cache(maxsize=4096)
def _distance(width: int, boxes: int, targets: int) -> int:
    """Rows plus columns from boxes to targets, by the best way to give each box a target of its own."""
    froms = [divmod(cell, width) for cell in cells(boxes)]
    return min(
        sum(abs(r - row) + abs(c - column) for (r, c), (row, column) in zip(froms, given, strict=True))
        for given in permutations([divmod(cell, width) for cell in cells(targets)])
    )


def _walks(board: Board) -> dict[int, str]:
    """Cell -> first step of the shortest walk there that pushes nothing, nearest first; the player's own: "here"."""
    first = {board.player: "here"}
    frontier = [board.player]
    for cell in frontier:  # grows while it is read: breadth first
        for action in ACTIONS:
            to = cell + board.offset(action)
            if to not in first and not (board.walls | board.boxes) >> to & 1:
                first[to] = action if cell == board.player else first[cell]
                frontier.append(to)
    return first
