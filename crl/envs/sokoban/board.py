"""The board and its rules: what one move does.

Cells are numbered row by row, and sets of cells are bit masks: a position is two integers, so that
the searches of the generator and the solver stay fast in plain Python. The outermost ring is wall,
which is why no step can leave the board.
"""

from dataclasses import dataclass, replace

from crl.errors import EnvError

ACTIONS = ("up", "down", "left", "right")
WALL, FLOOR, TARGET, BOX, BOX_ON_TARGET, PLAYER, PLAYER_ON_TARGET = SYMBOLS = "W.GBCA@"  # the paper's symbols
_ON_TARGET = {FLOOR: TARGET, BOX: BOX_ON_TARGET, PLAYER: PLAYER_ON_TARGET}


@dataclass(frozen=True, slots=True)
class Board:
    """One position. Masks have bit `row * width + column` set for each cell of their set."""

    width: int  # cells, the walls around included
    height: int
    walls: int
    targets: int
    boxes: int
    player: int  # a cell's number

    @property
    def solved(self) -> bool:
        return self.boxes == self.targets

    @property
    def placed(self) -> int:
        """How many boxes stand on targets."""
        return (self.boxes & self.targets).bit_count()

    def offset(self, action: str) -> int:
        """What an action adds to a cell's number."""
        return (-self.width, self.width, -1, 1)[ACTIONS.index(action)]

    def after(self, action: str) -> "Board":
        """The position after a move or a push; this very board when something is in the way."""
        step = self.offset(action)
        to = self.player + step
        if self.walls >> to & 1:
            return self
        if not self.boxes >> to & 1:
            return replace(self, player=to)
        beyond = to + step
        if (self.walls | self.boxes) >> beyond & 1:
            return self
        return replace(self, player=to, boxes=self.boxes ^ 1 << to ^ 1 << beyond)

    def symbol(self, cell: int) -> str:
        if self.walls >> cell & 1:
            return WALL
        thing = PLAYER if cell == self.player else BOX if self.boxes >> cell & 1 else FLOOR
        return _ON_TARGET[thing] if self.targets >> cell & 1 else thing

    def __str__(self) -> str:
        """The rows of symbols that `parse` reads."""
        symbols = [self.symbol(cell) for cell in range(self.width * self.height)]
        rows = range(0, len(symbols), self.width)
        return "\n".join("".join(symbols[start : start + self.width]) for start in rows)


def cells(mask: int) -> list[int]:
    """The numbers of a mask's cells, ascending."""
    found = []
    while mask:
        lowest = mask & -mask
        found.append(lowest.bit_length() - 1)
        mask ^= lowest
    return found


def parse(text: str) -> Board:
    """A board from its rows of symbols. Raises EnvError for anything that is not a whole, closed board."""
    rows = text.strip().splitlines()
    symbols = "".join(rows)
    walls, targets = _mask(symbols, WALL), _mask(symbols, TARGET + BOX_ON_TARGET + PLAYER_ON_TARGET)
    boxes, player = _mask(symbols, BOX + BOX_ON_TARGET), _mask(symbols, PLAYER + PLAYER_ON_TARGET)
    counts = [mask.bit_count() for mask in (player, boxes, targets)]
    if fault := _fault(rows, *counts):
        raise EnvError(
            f"sokoban board {text[:200]!r}: {fault}. Remedy: give rows of equal length from the symbols {SYMBOLS!r}, "
            "closed by walls, with one player and as many boxes as targets"
        )
    return Board(len(rows[0]), len(rows), walls, targets, boxes, player.bit_length() - 1)


def _fault(rows: list[str], players: int, boxes: int, targets: int) -> str | None:
    if len({len(row) for row in rows}) != 1:
        return "its rows are not of one length"
    if unknown := set("".join(rows)) - set(SYMBOLS):
        return f"unknown symbols {sorted(unknown)}"
    if set(rows[0] + rows[-1] + "".join(row[0] + row[-1] for row in rows)) != {WALL}:
        return "it is not closed by walls"
    if players != 1 or boxes != targets or not boxes:
        return f"it holds {players} players, {boxes} boxes and {targets} targets"
    return None


def _mask(symbols: str, of: str) -> int:
    return sum(1 << cell for cell, symbol in enumerate(symbols) if symbol in of)
