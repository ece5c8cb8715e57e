"""The `grid` style for models that read: message, status, map with legend, inventory, actions."""

import numpy as np

from crl.envs.minihack.game import Frame
from crl.envs.minihack.glyphs import Cell
from crl.envs.minihack.paths import COLUMNS
from crl.envs.minihack.world import ROWS, Position, World

_HALF_WIDTH, _HALF_HEIGHT = 20, 10  # the map shows at most 41 x 21 cells around the agent
_BLANK = ord(" ")
_COVERED = -1  # no glyph: nothing seen, or a creature stands on it


class Screen:
    """One episode's picture of the level: symbols as last seen, and what their things are called."""

    def __init__(self) -> None:
        self._floor: tuple[int, int] | None = None
        self._names: dict[int, str] = {}  # glyph -> the engine's own description

    def see(self, world: World, frame: Frame) -> None:
        """Remember what is in view; `frame` must be the one that `world` saw last."""
        if world.floor != self._floor:
            self._floor = world.floor
            self._glyphs = np.full((ROWS, COLUMNS), _COVERED, dtype=np.int16)
            self._chars = np.full((ROWS, COLUMNS), _BLANK, dtype=np.uint8)
        np.copyto(self._glyphs, frame.glyphs, where=world.things_in_view)
        np.copyto(self._chars, frame.chars, where=world.things_in_view)
        glyphs, first = np.unique(frame.glyphs, return_index=True)
        for glyph, index in zip(glyphs.tolist(), first.tolist(), strict=True):
            if glyph not in self._names:
                self._names[glyph] = _description(frame, (index % COLUMNS, index // COLUMNS))

    def describe(self, world: World, frame: Frame, step: int, max_steps: int, actions: tuple[str, ...]) -> str:
        """The agent's whole screen as text; `see` the frame first."""
        rows, columns = _window(world)
        chars, glyphs = self._chars[rows, columns].copy(), self._glyphs[rows, columns].copy()
        creatures = [(x, y) for x, y in world.monsters if _within(y, rows) and _within(x, columns)]
        for x, y in (*creatures, world.here):
            chars[y - rows.start, x - columns.start] = frame.chars[y, x]
            glyphs[y - rows.start, x - columns.start] = _COVERED
        named = [f"{chr(frame.chars[y, x])} {_description(frame, (x, y))}" for x, y in creatures]
        x, y = world.here
        return "\n".join(
            (
                f"Message: {world.message or '(none)'}",
                f"Step {step} of {max_steps}. Position: x={x}, y={y}. Health: {world.hp} of {world.max_hp}.",
                f"Map (its top left cell is x={columns.start}, y={rows.start}; north is up):",
                *(row.tobytes().decode("latin-1") for row in chars),
                f"Legend: {'; '.join(dict.fromkeys(['@ you', *named, *self._legend(chars, glyphs)]))}",
                f"Inventory: {'; '.join(world.inventory) or '(empty)'}",
                f"Actions: {', '.join(actions)}",
            )
        )

    def _legend(self, chars: np.ndarray, glyphs: np.ndarray) -> list[str]:
        """`symbol description` of every thing that the shown map holds, and of nothing else."""
        kinds, first = np.unique(glyphs, return_index=True)
        symbols = zip(kinds.tolist(), chars.ravel()[first].tolist(), strict=True)
        return [f"{chr(char)} {self._names[glyph]}" for glyph, char in symbols if glyph != _COVERED and char != _BLANK]


def _description(frame: Frame, at: Position) -> str:
    return frame.screen_descriptions[at[1], at[0]].tobytes().split(b"\0", 1)[0].decode("latin-1")


def _within(value: int, span: slice) -> bool:
    return span.start <= value < span.stop


def _window(world: World) -> tuple[slice, slice]:
    """Rows and columns around the agent that hold all it knows, within the window's limits."""
    known = world.cells != Cell.UNSEEN
    x, y = world.here
    rows, columns = known.any(axis=1).nonzero()[0], known.any(axis=0).nonzero()[0]
    top, bottom = max(int(rows[0]), y - _HALF_HEIGHT), min(int(rows[-1]), y + _HALF_HEIGHT)
    left, right = max(int(columns[0]), x - _HALF_WIDTH), min(int(columns[-1]), x + _HALF_WIDTH)
    return slice(top, bottom + 1), slice(left, right + 1)
