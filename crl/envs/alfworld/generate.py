"""New games in the true format: a floor plan of the split, objects strewn over it, a goal of the package's library."""

from dataclasses import dataclass, replace

import numpy as np

from crl.envs.alfworld import package
from crl.envs.alfworld.floorplans import FloorPlan, Receptacle, floor_plan, scene_numbers, thing_id
from crl.envs.alfworld.game import TASK_TYPES, Game
from crl.envs.alfworld.problem import Thing, write_problem
from crl.envs.errors import EnvError
from crl.seeding import stream

LEVEL = "generated"  # all six task types in turn; a task type's own name gives that type alone
# Task type -> what the object must stand, the receptacle kind that does it.
TREATMENTS = {
    "pick_clean_then_place_in_recep": ("Cleanable", "SinkBasin"),
    "pick_heat_then_place_in_recep": ("Heatable", "Microwave"),
    "pick_cool_then_place_in_recep": ("Coolable", "Fridge"),
}
_LIGHT, _TWO = "look_at_obj_in_light", "pick_two_obj_and_place"
_INSTANCES, _SHARES = (1, 2, 3), (0.6, 0.3, 0.1)  # of each kind of object; ALFRED repeats up to 3 times
_MAX_SCENES = 200  # nearly every floor plan serves; a kitchen without a microwave does not


@dataclass(frozen=True, slots=True)
class _Goal:
    target: str
    place: str = ""
    lamp: str = ""


def generate(level: str, split: str, seed: int, attempt: int = 0) -> Game:
    """The game that the arguments name, the same in every process. Raises EnvError for an unknown level."""
    task_type = task_type_of(level, seed)
    rng = stream("alfworld", level, split, seed, attempt)
    numbers = scene_numbers(split, frozenset(package.constants().GOALS_VALID[task_type]))
    for _ in range(_MAX_SCENES):
        plan = floor_plan(numbers[int(rng.integers(len(numbers)))])
        if candidates := _candidates(task_type, plan):
            goal = candidates[int(rng.integers(len(candidates)))]
            return _game(task_type, plan, goal, rng)
    raise EnvError(f"level = {level!r}, split = {split!r}: no floor plan serves it. Remedy: choose another task type")


def task_type_of(level: str, seed: int) -> str:
    """The task type that a level plays at a seed. Raises EnvError."""
    if level == LEVEL:
        return TASK_TYPES[seed % len(TASK_TYPES)]
    if level not in TASK_TYPES:
        raise EnvError(
            f"level = {level!r}: no such ALFWorld level. Remedy: use {LEVEL} or one of {', '.join(TASK_TYPES)}"
        )
    return level


def _candidates(task_type: str, plan: FloorPlan) -> list[_Goal]:
    """Every goal of this type that the plan can pose: the object fits there, and can lie elsewhere before."""
    if task_type == _LIGHT:
        lamps = plan.lamps if plan.lamp_places() else ()
        return [_Goal(kind, lamp=lamp) for lamp in lamps for kind in plan.movables]
    movables, tool = plan.movables, ""
    if task_type in TREATMENTS:
        ability, tool = TREATMENTS[task_type]
        if tool not in plan.kinds:
            return []
        movables = tuple(kind for kind in movables if kind in package.constants().VAL_ACTION_OBJECTS[ability])
    goals = []
    for kind in movables:
        homes = {receptacle.kind for receptacle in plan.places_for(kind)}
        if len(homes) > 1:
            goals += [_Goal(kind, place=place) for place in sorted(homes - {tool})]
    return goals


def _game(task_type: str, plan: FloorPlan, goal: _Goal, rng: np.random.Generator) -> Game:
    kinds = {"obj": goal.target, "recep": goal.place, "toggle": goal.lamp}
    entry = package.goals()[task_type]
    template = entry["templates"][int(rng.integers(len(entry["templates"])))]
    things = _strew(task_type, plan, goal, rng)
    return Game(
        task_type,
        f"FloorPlan{plan.number}",
        goal.target.lower(),
        goal.place.lower(),
        goal.lamp.lower(),
        template.format(**{name: kind.lower() for name, kind in kinds.items()}),
        write_problem(plan, things, entry["pddl"].format(**kinds)),
    )


def _strew(task_type: str, plan: FloorPlan, goal: _Goal, rng: np.random.Generator) -> tuple[Thing, ...]:
    """Objects of every kind in receptacles that can hold them; none of the target's kind where it shall go."""
    things = []
    for kind in plan.movables:
        places = plan.places_for(kind)
        count = int(rng.choice(_INSTANCES, p=_SHARES))
        if kind == goal.target:
            places = tuple(place for place in places if place.kind != goal.place)
            count = max(count, 2) if task_type == _TWO else count
        things += [_put(kind, places, rng) for _ in range(count)]
    things += [_put(lamp, plan.lamp_places(), rng) for lamp in plan.lamps if plan.lamp_places()]
    return _distinct(things, rng)


def _put(kind: str, places: tuple[Receptacle, ...], rng: np.random.Generator) -> Thing:
    place = places[int(rng.integers(len(places)))]
    x_m, z_m = (quarters / 4 + float(rng.uniform(-0.5, 0.5)) for quarters in place.pose[:2])
    return Thing(thing_id(kind, x_m, float(rng.uniform(0.1, 1.6)), z_m), kind, place.id)


def _distinct(things: list[Thing], rng: np.random.Generator) -> tuple[Thing, ...]:
    """An id names one object: a place that two of a kind share to the centimetre moves on."""
    taken: dict[str, Thing] = {}
    for thing in things:
        while thing.id in taken:
            thing = replace(thing, id=thing_id(thing.kind, *(float(rng.uniform(-3, 3)) for _ in range(3))))
        taken[thing.id] = thing
    return tuple(sorted(taken.values(), key=lambda thing: thing.id))
