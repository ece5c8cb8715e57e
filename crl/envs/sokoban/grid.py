"""The `grid` style for models that read: what the last action did, positions, the board with its legend, actions."""

from crl.envs.sokoban.board import (
    ACTIONS,
    BOX,
    BOX_ON_TARGET,
    FLOOR,
    PLAYER,
    PLAYER_ON_TARGET,
    TARGET,
    WALL,
    Board,
    cells,
)

_LEGEND = {
    WALL: "wall",
    FLOOR: "floor",
    TARGET: "target",
    BOX: "box",
    BOX_ON_TARGET: "box on a target",
    PLAYER: "you",
    PLAYER_ON_TARGET: "you on a target",
}
START = "The game begins."
_RULES = (
    "You move one cell per step: up, down, left or right. Moving into a box pushes it one cell further, if the cell "
    "behind it is free of walls and boxes; otherwise nothing moves, and the step is spent all the same. You cannot pull "
    "a box and never push two at once, so a box in a corner stays there: think before you push. Targets can be walked over."
)
_COUNTING = "Rows count from the top, columns from the left, both from 0."
_GOALS = {1: "Push the box onto the target.", 2: "Push both boxes onto the two targets."}


def goal(boxes: int) -> str:
    """The task in one sentence."""
    return _GOALS.get(boxes, f"Push all {boxes} boxes onto the {boxes} targets.")


def manual(boxes: int, max_steps: int) -> str:
    symbols = ", ".join(f"{symbol} {name}" for symbol, name in _LEGEND.items())
    return f"{goal(boxes)} {_RULES} Symbols: {symbols}. {_COUNTING} You have {max_steps} steps."


def feedback(before: Board, after: Board, action: str) -> str:
    """One sentence on what an action did."""
    to = before.player + before.offset(action)
    if after is before:
        if before.walls >> to & 1:
            return f"A wall is in the way ({action}): nothing moved."
        behind = "wall" if before.walls >> (to + before.offset(action)) & 1 else "box"
        return f"The box in the way ({action}) has a {behind} behind it: nothing moved."
    if after.boxes == before.boxes:
        return f"You moved {action}."
    if after.solved:
        return f"You pushed a box {action} onto a target. All boxes are on targets: you have won."
    gained = after.placed - before.placed
    end = {1: " onto a target", 0: "", -1: " off its target"}[gained]
    return f"You pushed a box {action}{end}."


def describe(board: Board, message: str, step: int, max_steps: int) -> str:
    """The whole game as text."""
    rows = str(board).splitlines()
    shown = set("".join(rows))
    return "\n".join(
        (
            f"Message: {message}",
            f"Step {step} of {max_steps}. Boxes on targets: {board.placed} of {board.boxes.bit_count()}.",
            f"You: {_place(board, board.player)}. Boxes: {_places(board, board.boxes)}. Targets: {_places(board, board.targets)}.",
            "Board:",
            *rows,
            f"Legend: {'; '.join(f'{symbol} {name}' for symbol, name in _LEGEND.items() if symbol in shown)}",
            f"Actions: {', '.join(ACTIONS)}",
        )
    )


def _place(board: Board, cell: int) -> str:
    row, column = divmod(cell, board.width)
    return f"row {row} column {column}"


def _places(board: Board, mask: int) -> str:
    return ", ".join(_place(board, cell) for cell in cells(mask))
