"""What each NetHack glyph means for walking: one small table, looked up for the whole map at once."""

from enum import IntEnum

import numpy as np
from nle import nethack


class Cell(IntEnum):
    """The kind of a map cell. UNSEEN is also solid rock: the engine draws both as blank."""

    UNSEEN = 0
    FLOOR = 1
    WALL = 2
    DOOR = 3  # closed, maybe locked
    OPEN_DOOR = 4
    STAIRS = 5  # down: the goal
    BOULDER = 6
    WATER = 7
    LAVA = 8
    TRAP = 9
    KEY = 10
    MONSTER = 11  # something that moves, the agent itself included
    ITEM = 12  # any other object; it may lie on stairs, and hides them


# NetHack's symbol order (defsym.h): the S_* numbers of map features.
_CMAP_RANGES = (
    (0, 0, Cell.UNSEEN),  # stone
    (1, 11, Cell.WALL),
    (12, 12, Cell.FLOOR),  # doorway without a door
    (13, 14, Cell.OPEN_DOOR),
    (15, 16, Cell.DOOR),
    (17, 18, Cell.WALL),  # iron bars, tree
    (24, 24, Cell.STAIRS),
    (26, 26, Cell.STAIRS),  # ladder down
    (32, 32, Cell.WATER),
    (34, 34, Cell.LAVA),
    (37, 38, Cell.WALL),  # raised drawbridge
    (41, 41, Cell.WATER),
    (42, 64, Cell.TRAP),
)


def _objects_named(name: str) -> list[int]:
    """Glyphs of the object types with this name."""
    return [
        nethack.GLYPH_OBJ_OFF + number
        for number in range(nethack.NUM_OBJECTS)
        if nethack.OBJ_NAME(nethack.objclass(number)) == name
    ]


def _cell_of_glyph() -> np.ndarray:
    cells = np.full(nethack.MAX_GLYPH + 1, Cell.FLOOR, dtype=np.uint8)
    for glyph in range(nethack.MAX_GLYPH):
        if nethack.glyph_is_object(glyph):
            cells[glyph] = Cell.ITEM
        if nethack.glyph_is_monster(glyph) or nethack.glyph_is_invisible(glyph) or nethack.glyph_is_warning(glyph):
            cells[glyph] = Cell.MONSTER
    for first, last, cell in _CMAP_RANGES:
        cells[nethack.GLYPH_CMAP_OFF + first : nethack.GLYPH_CMAP_OFF + last + 1] = cell
    cells[_objects_named("boulder")] = Cell.BOULDER
    cells[_objects_named("skeleton key")] = Cell.KEY
    cells[nethack.MAX_GLYPH] = Cell.UNSEEN  # NO_GLYPH
    return cells


CELL_OF_GLYPH = _cell_of_glyph()
