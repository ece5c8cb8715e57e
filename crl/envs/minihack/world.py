"""What the agent knows of the level: only what the engine has shown it so far in this episode.

The engine keeps the fog of war: unseen cells are blank in its frames. This memory adds what the
frames forget or do not hold: visited cells, the cell the agent came from, what it stands on.
"""

from collections.abc import Iterable

import numpy as np

from crl.envs.minihack.directions import STEPS, toward
from crl.envs.minihack.game import Frame
from crl.envs.minihack.glyphs import CELL_OF_GLYPH, Cell
from crl.envs.minihack.paths import COLUMNS, first_steps

ROWS = 21
Position = tuple[int, int]  # x, y
# Indices into blstats (nle.nethack.NLE_BL_*).
_X, _Y, _HP, _MAX_HP, _DUNGEON, _LEVEL = 0, 1, 10, 11, 23, 24
# Plain numbers: reading an enum member is slow in Python 3.11, and this runs at every step.
_UNSEEN, _FLOOR, _WALL = int(Cell.UNSEEN), int(Cell.FLOOR), int(Cell.WALL)
_KEY, _MONSTER, _ITEM = int(Cell.KEY), int(Cell.MONSTER), int(Cell.ITEM)
_OUTLASTS_ITEMS = np.isin(np.arange(len(Cell)), [Cell.STAIRS, Cell.OPEN_DOOR, Cell.TRAP])  # by cell kind


class World:
    """One episode's memory; `see` every frame."""

    def __init__(self, frame: Frame) -> None:
        self.floor: tuple[int, int] | None = None  # dungeon and level number: a trap door leads to another
        self._inventory_bytes = b""
        self.inventory: tuple[str, ...] = ()  # e.g. "a: a +0 short sword (weapon in hand)"
        self.has_key = False
        self.see(frame)

    def see(self, frame: Frame, action: str | None = None) -> None:
        """Take in a frame; `action` is what led to it."""
        stats = frame.blstats.tolist()
        if (floor := (stats[_DUNGEON], stats[_LEVEL])) != self.floor:
            self._enter(floor)
        before = self.here
        attacked = action in STEPS and before is not None and _beside(before, action) in self.monsters
        self.here = (stats[_X], stats[_Y])
        self.hp, self.max_hp = stats[_HP], stats[_MAX_HP]
        self.message = frame.message.tobytes().split(b"\0", 1)[0].decode("latin-1")
        self._see_inventory(frame)
        self._see_map(frame)
        moved = self.here != before
        self.stuck = action in STEPS and not moved and not attacked  # met something that does not give way
        if moved:
            self.came_from = before
            self.visits[self.here] = self.visits.get(self.here, 0) + 1

    def cell(self, at: Position) -> int:
        """The `Cell` kind last seen at a position; off the map counts as wall."""
        x, y = at
        return int(self.cells[y, x]) if 0 <= x < COLUMNS and 0 <= y < ROWS else _WALL

    def neighbour(self, direction: str) -> Position:
        return _beside(self.here, direction)

    def nearest(self, kind: Cell) -> Position | None:
        """The nearest seen cell of a kind, in king's moves; ties by row, then column."""
        return self._nearest_of(_positions(self.cells == kind))

    def nearest_monster(self) -> Position | None:
        return self._nearest_of(self.monsters)

    def steps_to(self, goals: Iterable[Position]) -> dict[Position, str]:
        """Goal -> first step of the shortest way through seen cells, else the straight direction."""
        index_of = {at: at[1] * COLUMNS + at[0] for at in goals}
        if not index_of:
            return {}
        ways = first_steps(self.cells.tobytes(), self.here[1] * COLUMNS + self.here[0], frozenset(index_of.values()))
        return {at: ways.get(index) or self.straight_to(at) for at, index in index_of.items()}

    def straight_to(self, at: Position) -> str:
        """The compass word toward a position as the crow flies; "here" for the agent's own."""
        return toward(at[0] - self.here[0], at[1] - self.here[1])

    def _nearest_of(self, positions: list[Position]) -> Position | None:
        x, y = self.here
        return min(positions, key=lambda at: max(abs(at[0] - x), abs(at[1] - y)), default=None)

    def _enter(self, floor: tuple[int, int]) -> None:
        self.floor = floor
        self.cells = np.zeros((ROWS, COLUMNS), dtype=np.uint8)  # last seen kinds, creatures left out
        self.monsters: list[Position] = []  # creatures in view now
        self.visits: dict[Position, int] = {}
        self.here: Position | None = None
        self.came_from: Position | None = None

    def _see_inventory(self, frame: Frame) -> None:
        if (content := frame.inv_strs.tobytes()) == self._inventory_bytes:
            return
        self._inventory_bytes = content
        names = [row.tobytes().split(b"\0", 1)[0].decode("latin-1") for row in frame.inv_strs if row[0]]
        self.inventory = tuple(f"{chr(letter)}: {name}" for letter, name in zip(frame.inv_letters, names, strict=False))
        self.has_key = any(" key" in name for name in names)

    def _see_map(self, frame: Frame) -> None:
        cells = CELL_OF_GLYPH[frame.glyphs]
        creatures = cells == _MONSTER
        self.things_in_view = (cells != _UNSEEN) ^ creatures
        hidden = (cells == _ITEM) & _OUTLASTS_ITEMS[self.cells]  # what falls on the stairs does not unsee them
        np.copyto(self.cells, cells, where=self.things_in_view & ~hidden)
        self.monsters = [at for at in _positions(creatures) if at != self.here]
        x, y = self.here
        stood_on = self.cells[y, x]
        if stood_on == _UNSEEN or (stood_on == _KEY and self.has_key):
            self.cells[y, x] = _FLOOR


def _beside(at: Position, direction: str) -> Position:
    dx, dy = STEPS[direction]
    return at[0] + dx, at[1] + dy


def _positions(mask: np.ndarray) -> list[Position]:
    return [(index % COLUMNS, index // COLUMNS) for index in mask.ravel().nonzero()[0].tolist()]
