"""The `slots` style: a short sentence of fixed layout for models with a vocabulary of a few hundred words.

    n:open e:wall s:back w:seen stairs:unseen                    rooms and mazes
    n:key e:open s:back w:wall stairs:unseen key:north door:west  key rooms
    n:rock e:open s:back w:seen stairs:unseen rock:north water:east  rivers

then, where they apply, `foe:<direction>`, `hurt` (less than half of the health is left) and `stuck`
(the last move met something that does not give way).

Four neighbours first, then for each landmark, once the agent has seen it, the first step of the
shortest way there through seen cells (the straight direction where no way is known yet); `door` is
called `gate` once it is open. Every word is one token for a tokenizer that splits at blanks. The four
marks of a passable neighbour hold what a model without a map needs for a depth-first search: `open`
was never entered, `seen` once, `old` more often, and `back` is where the agent just came from.
"""

from crl.envs.contract import Observation, StepResult
from crl.envs.minihack.directions import ORTHOGONAL, STEPS
from crl.envs.minihack.env import MiniHackEnv
from crl.envs.minihack.glyphs import Cell
from crl.envs.minihack.world import Position, World
from crl.tiny.slots.wrapper import SlotsEnv
from crl.types import Task

_GOALS = {  # first part of the level id -> goal in few words, each a token, and what the sentence tells the way to
    "MiniHack-Room-": ("room: reach the stairs", ("stairs",)),
    "MiniHack-MazeWalk-": ("maze: reach the stairs", ("stairs",)),
    "MiniHack-KeyRoom-": ("keyroom: open the door and reach the stairs", ("stairs", "key", "door")),
    "MiniHack-River-": ("river: fill the water and reach the stairs", ("stairs", "rock", "water")),
    "": ("reach the stairs", ("stairs",)),
}
SIDES = dict(zip("nesw", ORTHOGONAL, strict=True))
PASSABLE = ("open", "seen", "old", "back", "stairs", "key", "trap", "foe")
_MARK_OF_CELL = {
    Cell.UNSEEN: "wall",  # what is next to the agent and still blank is rock
    Cell.WALL: "wall",
    Cell.DOOR: "door",
    Cell.BOULDER: "rock",
    Cell.WATER: "water",
    Cell.LAVA: "lava",
    Cell.STAIRS: "stairs",
    Cell.TRAP: "trap",
    Cell.KEY: "key",
}
_LANDMARK_CELL = {
    "stairs": Cell.STAIRS,
    "key": Cell.KEY,
    "door": Cell.DOOR,
    "rock": Cell.BOULDER,
    "water": Cell.WATER,
}
_LOW_HP_SHARE = 0.5


class MiniHackSlots(SlotsEnv[MiniHackEnv]):
    """What is around, where the landmarks are, and what threatens."""

    def begin(self, task: Task, shown: Observation) -> None:
        self.goal, self._landmarks = goal_of(task.level)

    def sentence(self) -> str:
        return describe(self.env.world, self._landmarks)

    def act(self, action: str) -> StepResult:
        return self.env.play(action)


def goal_of(level: str) -> tuple[str, tuple[str, ...]]:
    """A level's goal in few words, and its landmarks."""
    return next(goal for prefix, goal in _GOALS.items() if level.startswith(prefix))


def words() -> tuple[str, ...]:
    """Every word this style can produce, for tokenizers that shall know them all."""
    marks = ("open", "seen", "old", "back", "foe", *dict.fromkeys(_MARK_OF_CELL.values()))
    places = (*STEPS, "here", "unseen")
    return (
        *(f"{side}:{mark}" for side in SIDES for mark in marks),
        *(f"{landmark}:{place}" for landmark in ("stairs", "key", "door", "gate", "rock", "water") for place in places),
        *(f"foe:{place}" for place in STEPS),
        "key:have",
        "gate:past",
        "hurt",
        "stuck",
    )


def describe(world: World, landmarks: tuple[str, ...]) -> str:
    """The sentence for what the agent knows now."""
    parts = [f"{side}:{_mark(world, direction)}" for side, direction in SIDES.items()]
    parts += _landmarks(world, landmarks)
    if (foe := world.nearest_monster()) is not None:
        parts.append(f"foe:{world.straight_to(foe)}")
    if world.hp < _LOW_HP_SHARE * world.max_hp:
        parts.append("hurt")
    if world.stuck:
        parts.append("stuck")
    return " ".join(parts)


def _mark(world: World, direction: str) -> str:
    at = world.neighbour(direction)
    if at in world.monsters:
        return "foe"
    if (mark := _MARK_OF_CELL.get(world.cell(at))) is not None:
        return mark
    if at == world.came_from:
        return "back"
    visits = world.visits.get(at, 0)
    return "open" if visits == 0 else "seen" if visits == 1 else "old"


def _landmarks(world: World, landmarks: tuple[str, ...]) -> list[str]:
    """`name:place` per landmark, where place is the first step of the shortest way through seen cells."""
    targets = {name: at for name in landmarks if (at := _locate(world, name)) is not None}
    steps = world.steps_to(targets.values())
    return [_landmark(world, name, targets.get(name), steps) for name in landmarks]


def _landmark(world: World, name: str, at: Position | None, steps: dict[Position, str]) -> str:
    if name == "key" and world.has_key:
        return "key:have"
    if at is None:
        return f"{name}:unseen"
    if world.cell(at) == Cell.OPEN_DOOR:
        return "gate:past" if at in world.visits else f"gate:{steps[at]}"
    return f"{name}:{steps[at]}"


def _locate(world: World, name: str) -> Position | None:
    at = world.nearest(_LANDMARK_CELL[name])
    return world.nearest(Cell.OPEN_DOOR) if at is None and name == "door" else at
