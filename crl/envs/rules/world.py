"""Kinds of room, the rule of each, and which instances belong to which task set.

A kind is what is seen at once: a place, an animal and a thing. Each kind has one good door, by colour, which the world's
seed draws and nothing else. An instance is a kind with its four doors in some order; the order means nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, product
from typing import TypeVar

from crl.envs.errors import EnvError
from crl.seeding import stream

T = TypeVar("T")

PLACES = ("kitchen", "chapel", "library", "harbour", "greenhouse", "stable")
ANIMALS = ("owl", "snake", "goat", "spider", "parrot", "bear")
THINGS = ("drum", "mirror", "anchor", "lantern", "ladder", "piano")
DOORS = ("red", "blue", "green", "white")
SPLITS = ("train", "eval")

Kind = tuple[str, str, str]  # place, animal, thing
KINDS: tuple[Kind, ...] = tuple(product(PLACES, ANIMALS, THINGS))
NEW_KINDS = 36  # of 216: never met in training, whatever the level
_HELD_OUT_ORDERS = 6  # of the 24 orders of a kind's doors
_LEVEL = re.compile(r"(known|new)(?:-(\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class Room:
    """One instance: its kind, and the colours of its doors from left to right."""

    kind: Kind
    doors: tuple[str, ...]


@lru_cache
def rules(world: int) -> dict[Kind, str]:
    """Kind -> the colour of its good door, for all kinds: the `NEW_KINDS` that training never meets first.

    Each colour is good for as many kinds as any other, among the new ones and among the rest: no colour is worth preferring.
    """
    return {kind: DOORS[i % len(DOORS)] for i, kind in enumerate(_shuffled(KINDS, "kinds", world))}


def parse_level(level: str) -> tuple[str, int]:
    """`known`, `new`, `known-3`: which kinds the held-out instances are of, and the world's seed (0 where none is named).

    Raises EnvError for anything else.
    """
    if (match := _LEVEL.fullmatch(level)) is None:
        raise EnvError(f"level = {level!r}: no level of rules. Remedy: known or new, or with a world's seed: known-3")
    return match[1], int(match[2] or 0)


@lru_cache
def rooms(level: str, split: str) -> tuple[Room, ...]:
    """All instances of a task set, in an order of the world's own; the instance of a seed is the one at seed modulo their number.

    | level | train | eval |
    |---|---|---|
    | known | 180 kinds, 18 orders each | the same kinds, their other 6 orders |
    | new | as known | 36 other kinds, all 24 orders |

    Raises EnvError for a level or split that does not exist.
    """
    which, world = parse_level(level)
    if split not in SPLITS:
        raise EnvError(f"split = {split!r}: no split of rules. Remedy: use one of {', '.join(SPLITS)}")
    kinds = list(rules(world))
    new, met = kinds[:NEW_KINDS], kinds[NEW_KINDS:]
    if (which, split) == ("new", "eval"):
        chosen = [Room(kind, order) for kind in new for order in permutations(DOORS)]
    else:
        part = slice(_HELD_OUT_ORDERS) if split == "eval" else slice(_HELD_OUT_ORDERS, None)
        chosen = [Room(kind, order) for kind in met for order in _orders(world, kind)[part]]
    return tuple(_shuffled(chosen, "rooms", world, split))


def room_of(level: str, split: str, seed: int) -> Room:
    """The instance of a seed. Raises EnvError."""
    all_rooms = rooms(level, split)
    return all_rooms[seed % len(all_rooms)]


def _orders(world: int, kind: Kind) -> list[tuple[str, ...]]:
    return _shuffled(tuple(permutations(DOORS)), "orders", world, *kind)


def _shuffled(items: Sequence[T], *key: int | str) -> list[T]:
    return [items[i] for i in stream("rules", *key).permutation(len(items))]
