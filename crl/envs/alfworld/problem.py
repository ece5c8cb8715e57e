"""A world and a goal as a PDDL problem, in the format of ALFWorld's `initial_state.pddl`.

Left out: distances between poses (the domain never reads them) and kinds of things that are not there.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from crl.envs.alfworld import package
from crl.envs.alfworld.floorplans import FloorPlan, Pose

# The domain's own actions name these, so each problem must declare them.
_ALWAYS_OBJECTS = ("Knife", "ButterKnife")
_ALWAYS_RECEPTACLES = ("SinkBasin", "Microwave", "Fridge")
_ABILITIES = ("Cleanable", "Heatable", "Coolable", "Sliceable", "Toggleable")
_SPELLING = str.maketrans({"-": "_minus_", "#": "-", "|": "_bar_", "+": "_plus_", ".": "_dot_", ",": "_comma_"})


@dataclass(frozen=True, slots=True)
class Thing:
    """An object in a receptacle at the beginning."""

    id: str
    kind: str
    receptacle: str  # id


def write_problem(plan: FloorPlan, things: tuple[Thing, ...], goal: str) -> str:
    """The problem text; `goal` is a formula of the goal library with its kinds filled in."""
    lines = [
        f"(define (problem plan_{plan.number})",
        "(:domain alfred)",
        "(:objects",
        *_declarations(plan, things),
        ")",
        "(:init",
        "(= (total-cost) 0)",
        f"(atLocation agent1 {_location(plan.start)})",
        *_room_facts(plan, things),
        *_thing_facts(plan, things),
        ")",
        " ".join(goal.split()),  # closes the definition
    ]
    return "\n".join(lines).translate(_SPELLING)


def _declarations(plan: FloorPlan, things: tuple[Thing, ...]) -> Iterable[str]:
    yield "agent1 # agent"
    yield from (f"{kind}Type # otype" for kind in sorted({*_ALWAYS_OBJECTS, *(thing.kind for thing in things)}))
    yield from (f"{kind}Type # rtype" for kind in sorted({*_ALWAYS_RECEPTACLES, *plan.kinds}))
    yield from (f"{thing.id} # object" for thing in things)
    yield from (f"{receptacle.id} # receptacle" for receptacle in plan.receptacles)
    poses = {plan.start, *(receptacle.pose for receptacle in plan.receptacles)}
    yield from (f"{_location(pose)} # location" for pose in sorted(poses))


def _room_facts(plan: FloorPlan, things: tuple[Thing, ...]) -> Iterable[str]:
    constants = package.constants()
    for receptacle in plan.receptacles:
        yield f"(receptacleType {receptacle.id} {receptacle.kind}Type)"
        yield f"(receptacleAtLocation {receptacle.id} {_location(receptacle.pose)})"
        if receptacle.kind in constants.OPENABLE_CLASS_SET:
            yield f"(openable {receptacle.id})"
    present = {thing.kind for thing in things}
    for kind in sorted(plan.kinds):
        for held in sorted(present & constants.VAL_RECEPTACLE_OBJECTS[kind]):
            yield f"(canContain {kind}Type {held}Type)"


def _thing_facts(plan: FloorPlan, things: tuple[Thing, ...]) -> Iterable[str]:
    constants = package.constants()
    poses = {receptacle.id: receptacle.pose for receptacle in plan.receptacles}
    able = constants.VAL_ACTION_OBJECTS
    for thing in things:
        yield f"(objectType {thing.id} {thing.kind}Type)"
        yield f"(inReceptacle {thing.id} {thing.receptacle})"
        yield f"(objectAtLocation {thing.id} {_location(poses[thing.receptacle])})"
        if thing.kind not in able["Toggleable"]:
            yield f"(pickupable {thing.id})"
        if thing.kind in constants.MOVABLE_RECEPTACLES_SET:
            yield f"(isReceptacleObject {thing.id})"
        yield from (f"({ability.lower()} {thing.id})" for ability in _ABILITIES if thing.kind in able[ability])


def _location(pose: Pose) -> str:
    return "loc|{}|{}|{}|{}".format(*pose)
