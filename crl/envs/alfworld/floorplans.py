"""The 120 floor plans that the alfworld package carries: real receptacles with the pose to reach them from.

The package's files lack the poses of some receptacles that the plan's list of things names (garbage cans,
stove burners, coffee machines, ...); these get a place of their own, fixed per floor plan.
"""

import json
from dataclasses import dataclass
from functools import cache

import numpy as np

from crl.envs.alfworld import package
from crl.seeding import stream

Pose = tuple[int, int, int, int]  # x and z in quarters of a metre, quarter turns, horizon in degrees
_QUARTERS_PER_M = 4
_MISSING_COUNTS = {"StoveBurner": 4, "Drawer": 2, "Shelf": 2, "Cabinet": 2}  # as in real kitchens and rooms; else one
LAMP_PLACES = ("Desk", "SideTable", "Dresser", "Shelf", "CoffeeTable", "DiningTable", "TVStand", "Bed", "Sofa")


@dataclass(frozen=True, slots=True)
class Receptacle:
    """A piece of furniture that stays where it is. `id` as in the package: `Drawer|+00.95|+00.22|-02.20`."""

    id: str
    kind: str
    pose: Pose  # where the agent stands to use it


@dataclass(frozen=True, slots=True)
class FloorPlan:
    number: int
    receptacles: tuple[Receptacle, ...]
    movables: tuple[str, ...]  # kinds of objects that occur here and can be carried
    lamps: tuple[str, ...]  # kinds of lamps that occur here
    start: Pose  # the agent's, at no receptacle

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(receptacle.kind for receptacle in self.receptacles)

    def places_for(self, movable: str) -> tuple[Receptacle, ...]:
        """Receptacles that can hold an object of this kind."""
        return tuple(place for place in self.receptacles if movable in _holds(place.kind))

    def lamp_places(self) -> tuple[Receptacle, ...]:
        """Where a lamp can stand, by the first kind of furniture that is there."""
        kind = next((kind for kind in LAMP_PLACES if kind in self.kinds), None)
        return tuple(place for place in self.receptacles if place.kind == kind)


def scene_numbers(split: str, rooms: frozenset[str]) -> tuple[int, ...]:
    """Floor plans of a split ("train" | "eval") whose room is one of these kinds; the package's own split."""
    constants = package.constants()
    numbers = constants.TRAIN_SCENE_NUMBERS if split == "train" else constants.TEST_SCENE_NUMBERS
    return tuple(number for number in numbers if any(number in constants.SCENE_TYPE[room] for room in rooms))


@cache
def floor_plan(number: int) -> FloorPlan:
    """Read one plan and complete it."""
    constants, folder = package.constants(), package.layouts()
    poses = json.loads((folder / f"FloorPlan{number}-openable.json").read_text())
    things = sorted(set(json.loads((folder / f"FloorPlan{number}-objects.json").read_text())))
    points = np.load(folder / f"FloorPlan{number}-layout.npy")
    known = [Receptacle(id_, _kind(id_), _pose(*pose)) for id_, pose in poses.items()]
    known = [receptacle for receptacle in known if _holds(receptacle.kind)]
    rng = stream("alfworld", "floorplan", number)
    free = _free_poses(points, {receptacle.pose for receptacle in known}, rng)
    present = {receptacle.kind for receptacle in known}
    static = constants.RECEPTACLES - constants.MOVABLE_RECEPTACLES_SET
    for kind in things:
        if kind in static and kind not in present and _holds(kind):
            for _ in range(_MISSING_COUNTS.get(kind, 1)):
                pose = free.pop()
                known.append(Receptacle(_invented_id(kind, pose), kind, pose))
    carried = {kind for place in known for kind in _holds(place.kind)} - static
    return FloorPlan(
        number,
        tuple(sorted(known, key=lambda receptacle: receptacle.id)),
        tuple(kind for kind in things if kind in carried),
        tuple(kind for kind in things if kind in constants.VAL_ACTION_OBJECTS["Toggleable"]),
        free.pop(),
    )


def thing_id(kind: str, x_m: float, y_m: float, z_m: float) -> str:
    """An id as the package writes it: `Apple|-00.47|+01.15|+00.48`."""
    return f"{kind}|{x_m:+06.2f}|{y_m:+06.2f}|{z_m:+06.2f}"


def _kind(id_: str) -> str:
    parts = id_.split("|")
    return parts[4] if len(parts) > 4 else parts[0]  # a basin is the fifth part of its sink's or bathtub's id


def _invented_id(kind: str, pose: Pose) -> str:
    owner = {"SinkBasin": "Sink", "BathtubBasin": "Bathtub"}.get(kind)
    id_ = thing_id(owner or kind, pose[0] / _QUARTERS_PER_M, 0.9, pose[1] / _QUARTERS_PER_M)
    return f"{id_}|{kind}" if owner else id_


def _pose(x_m: float, z_m: float, degrees: float, horizon: float) -> Pose:
    return round(x_m * _QUARTERS_PER_M), round(z_m * _QUARTERS_PER_M), round(degrees / 90), round(horizon)


def _free_poses(points: np.ndarray, taken: set[Pose], rng: np.random.Generator) -> list[Pose]:
    """Poses in the plan that reach nothing yet, in a random order."""
    poses = [_pose(float(x), float(z), 0.0, 30.0) for x, z in points]
    free = [pose for pose in dict.fromkeys(poses) if pose not in taken]
    return [free[index] for index in rng.permutation(len(free))]


def _holds(kind: str) -> frozenset[str]:
    return frozenset(package.constants().VAL_RECEPTACLE_OBJECTS.get(kind, ()))
