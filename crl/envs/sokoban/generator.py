"""Boards from seeds: a random room, then a random position a drawn number of moves away from solved.

A room (walls and targets) belongs to one split, decided by a hash that is the same for a room's
rotations and mirror images: whatever the seeds, evaluation plays rooms that training never showed.
"""

import hashlib
import re
from dataclasses import dataclass

import numpy as np

from crl.envs.sokoban.board import Board
from crl.envs.sokoban.solver import starts
from crl.errors import EnvError
from crl.seeding import stream

SPLITS = ("train", "eval")
SHORTEST, LONGEST = 2, 25  # moves of the drawn solutions; the paper's step limit is 30
_MIN_SIDE, _MAX_SIDE, MAX_BOXES = 5, 8, 3  # beyond, a search can take seconds
_INNER_WALL_SHARE = 1 / 3  # at most, of the cells inside the outer walls
_ROOMS_PER_HELD_OUT = 5  # one room in five is for evaluation
_LEVEL = re.compile(r"(\d)x(\d)-(\d)(?:-max(\d+))?")


@dataclass(frozen=True, slots=True)
class LevelSpec:
    """What a level name says: `<width>x<height>-<boxes>`, and `-max<moves>` for short solutions only."""

    width: int  # cells, the walls around included
    height: int
    boxes: int
    longest: int = LONGEST  # moves of the longest solution that is drawn


def spec_of(level: str) -> LevelSpec:
    """Raises EnvError for a name that is no level of this family."""
    match = _LEVEL.fullmatch(level)
    if match:
        width, height, boxes = (int(part) for part in match.groups()[:3])
        longest = int(match[4] or LONGEST)
        sides_fit = min(width, height) >= _MIN_SIDE and max(width, height) <= _MAX_SIDE
        if sides_fit and 1 <= boxes <= MAX_BOXES and SHORTEST <= longest <= LONGEST:
            return LevelSpec(width, height, boxes, longest)
    raise EnvError(
        f"level = {level!r}: no such Sokoban level. Remedy: <width>x<height>-<boxes>, sides {_MIN_SIDE} to {_MAX_SIDE}, 1 to "
        f"{MAX_BOXES} boxes, such as 6x6-2; -max<moves> ({SHORTEST} to {LONGEST}) bounds the solution, such as 6x6-2-max8"
    )


def generate(level: str, seed: int, split: str) -> Board:
    """The board of a seed: solvable, not solved, of this split; a function of the three arguments."""
    spec = spec_of(level)
    rng = stream("sokoban", spec.width, spec.height, spec.boxes, seed, split)
    moves = _length(spec, rng)
    while True:
        walls, floor, targets = _room(spec, rng)
        if not targets or split_of(spec.width, spec.height, walls, targets) != split:
            continue
        length, positions = starts(spec.width, walls, targets, floor, moves)
        if length < SHORTEST:
            continue  # every pull is blocked in this room
        fewest = min((boxes & targets).bit_count() for boxes, _ in positions)
        unplaced = [pair for pair in positions if (pair[0] & targets).bit_count() == fewest]
        boxes, player = unplaced[int(rng.integers(len(unplaced)))]
        return Board(spec.width, spec.height, walls, targets, boxes, player)


def split_of(width: int, height: int, walls: int, targets: int) -> str:
    """The one split that may use a room; equal for its rotations and mirror images."""
    room = Board(width, height, walls, targets, boxes=0, player=-1)  # off the board: nobody stands in it
    digest = hashlib.blake2b(canonical(str(room)).encode(), digest_size=8).digest()
    return "train" if int.from_bytes(digest, "little") % _ROOMS_PER_HELD_OUT else "eval"


def canonical(rows_of_symbols: str) -> str:
    """The smallest of a board's rotations and mirror images: equal for boards that are the same but for these."""
    rows = rows_of_symbols.split("\n")
    images = []
    for turned in (rows, ["".join(column) for column in zip(*rows, strict=True)]):
        for flipped in (turned, turned[::-1]):
            images += ["\n".join(flipped), "\n".join(row[::-1] for row in flipped)]
    return min(images)


def _length(spec: LevelSpec, rng: np.random.Generator) -> int:
    """How many moves the shortest solution shall have. The smaller of two even draws: the boards' quartiles become
    4, 7 and 11 moves, those of gym-sokoban's generator at 6x6 with two boxes."""
    while True:
        length = int(rng.integers(SHORTEST, LONGEST + 1, size=2).min())
        if length <= spec.longest:
            return length


def _room(spec: LevelSpec, rng: np.random.Generator) -> tuple[int, int, int]:
    """Masks of walls, floor and targets. No targets (0) when the drawn floor is not in one piece."""
    width, height = spec.width, spec.height
    inside = [row * width + column for row in range(1, height - 1) for column in range(1, width - 1)]
    order = [inside[index] for index in rng.permutation(len(inside)).tolist()]
    inner_walls = int(rng.integers(int(len(inside) * _INNER_WALL_SHARE) + 1))
    floor = sum(1 << cell for cell in order[inner_walls:])
    walls = (1 << width * height) - 1 ^ floor
    if _connected(floor, width):
        return walls, floor, sum(1 << cell for cell in order[inner_walls : inner_walls + spec.boxes])
    return walls, floor, 0


def _connected(floor: int, width: int) -> bool:
    reached, grown = 0, floor & -floor
    while grown != reached:
        reached = grown
        grown = (reached | reached << 1 | reached >> 1 | reached << width | reached >> width) & floor
    return reached == floor
