"""New games in the true format: a floor plan of the split, objects strewn over it, a goal of the package's library."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from crl.envs.alfworld import package
from crl.envs.alfworld.floorplans import FloorPlan, Receptacle, floor_plan, scene_numbers, thing_id
from crl.envs.alfworld.game import LIGHT, TASK_TYPES, TREATMENTS, TWO, Game
from crl.envs.alfworld.problem import Thing, write_problem
from crl.envs.errors import EnvError
from crl.seeding import stream

LEVEL = "generated"  # all six task types in turn; a task type's own name gives that type alone
_INSTANCES, _SHARES = (1, 2, 3), (0.6, 0.3, 0.1)  # of each kind of object; ALFRED repeats up to 3 times
_MAX_SCENES = 200  # nearly every floor plan serves; a kitchen without a microwave does not


class _Goal(NamedTuple):
    """Kinds, by the names that the goal library's templates have for them."""

    obj: str
    recep: str = ""
    toggle: str = ""


def generate(level: str, split: str, seed: int, attempt: int = 0) -> Game:
    """The game that the arguments name, the same in every process. Raises EnvError for an unknown level."""
    if level not in (LEVEL, *TASK_TYPES):
        raise EnvError(
            f"level = {level!r}: no such ALFWorld level. Remedy: use {LEVEL} or one of {', '.join(TASK_TYPES)}"
        )
    task_type = TASK_TYPES[seed % len(TASK_TYPES)] if level == LEVEL else level
    rng = stream("alfworld", level, split, seed, attempt)
    numbers = scene_numbers(split, frozenset(package.constants().GOALS_VALID[task_type]))
    for _ in range(_MAX_SCENES):
        plan = floor_plan(numbers[int(rng.integers(len(numbers)))])
        if candidates := _candidates(task_type, plan):
            goal = candidates[int(rng.integers(len(candidates)))]
            return _game(task_type, plan, goal, rng)
    raise EnvError(f"level = {level!r}, split = {split!r}: no floor plan serves it. Remedy: choose another task type")


def _candidates(task_type: str, plan: FloorPlan) -> list[_Goal]:
    """Every goal of this type that the plan can pose: the object fits there, and can lie elsewhere before."""
    if task_type == LIGHT:
        lamps = plan.lamps if plan.lamp_places() else ()
        return [_Goal(kind, toggle=lamp) for lamp in lamps for kind in plan.movables]
    movables, tool = plan.movables, ""
    if task_type in TREATMENTS:
        _, ability, tool = TREATMENTS[task_type]
        if tool not in plan.kinds:
            return []
        movables = tuple(kind for kind in movables if kind in package.constants().VAL_ACTION_OBJECTS[ability])
    goals = []
    for kind in movables:
        homes = {receptacle.kind for receptacle in plan.places_for(kind)}
        if len(homes) > 1:
            goals += [_Goal(kind, place) for place in sorted(homes - {tool})]
    return goals


def _game(task_type: str, plan: FloorPlan, goal: _Goal, rng: np.random.Generator) -> Game:
    entry = package.goals()[task_type]
    template = entry["templates"][int(rng.integers(len(entry["templates"])))]
    things = _strew(task_type, plan, goal, rng)
    said = _Goal(*(kind.lower() for kind in goal))
    problem = write_problem(plan, things, entry["pddl"].format(**goal._asdict()))
    return Game(task_type, f"FloorPlan{plan.number}", *said, template.format(**said._asdict()), problem)


def _strew(task_type: str, plan: FloorPlan, goal: _Goal, rng: np.random.Generator) -> tuple[Thing, ...]:
    """Objects of every kind in receptacles that can hold them; none of the target's kind where it shall go."""
    things = []
    for kind in plan.movables:
        places = plan.places_for(kind)
        count = int(rng.choice(_INSTANCES, p=_SHARES))
        if kind == goal.obj:
            places = tuple(place for place in places if place.kind != goal.recep)
            count = max(count, 2) if task_type == TWO else count
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
