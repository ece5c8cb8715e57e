"""What is said about a level before play: its goal and its rules."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LevelKind:
    """Texts of one kind of level."""

    prefix: str  # of the level ids
    goal: str
    rules: str


_MOVES = "You move one cell per step in eight compass directions; you cannot pass walls."

KINDS = (
    LevelKind(
        "MiniHack-Room-",
        "Reach the staircase down (>) in this room.",
        f"{_MOVES} In a dark room you see only the cells next to you. Traps (^) may lie hidden, and monsters (letters) "
        "attack; you attack one by moving into it.",
    ),
    LevelKind(
        "MiniHack-MazeWalk-",
        "Find the staircase down (>) in this maze.",
        f"{_MOVES} The maze appears only as you walk it: explore, remember dead ends, do not walk in circles.",
    ),
    LevelKind(
        "MiniHack-KeyRoom-",
        "Pick up the key, open the locked door (+) of the inner room with it, and reach the staircase down (>) inside.",
        f"{_MOVES} You cannot enter a doorway diagonally. Stand on the key and use pick_up; stand next to the locked "
        "door with the key and use apply, which unlocks and opens it.",
    ),
    LevelKind(
        "MiniHack-River-",
        "Cross the river and reach the staircase down (>) on its other side.",
        f"{_MOVES} You cannot swim. Push boulders (`) by moving into them; a boulder pushed into water (}}) fills it "
        "and makes a path.",
    ),
)
OTHER = LevelKind(
    "MiniHack-",
    "Reach the staircase down (>), or whatever else this level rewards.",
    f"{_MOVES} You attack a monster by moving into it.",
)

# What `crl envs` shows first and checks by default; every other registered level plays, too.
STANDARD = (
    "MiniHack-Room-Random-5x5-v0",
    "MiniHack-Room-Dark-5x5-v0",
    "MiniHack-Room-Ultimate-5x5-v0",
    "MiniHack-MazeWalk-9x9-v0",
    "MiniHack-KeyRoom-S5-v0",
    "MiniHack-KeyRoom-Dark-S5-v0",
    "MiniHack-River-v0",
    "MiniHack-River-Narrow-v0",
)


def kind_of(level: str) -> LevelKind:
    """The kind a level id belongs to, by its prefix."""
    return next((kind for kind in KINDS if level.startswith(kind.prefix)), OTHER)
