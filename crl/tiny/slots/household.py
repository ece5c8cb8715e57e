"""What an agent knows of the house: only what the engine's texts have told it so far."""

import re
from dataclasses import dataclass, field

from crl.envs.alfworld import package

_LISTED = re.compile(r"\ba ([a-z]+ \d+)")
_ARRIVED = re.compile(r"(?:go to|examine|open) (.+)")
_TAKEN = re.compile(r"take (.+) from (.+)")
_PUT = re.compile(r"(?:move (.+) to|put (.+) in/on) (.+)")
_TREATED = re.compile(r"(?:clean|heat|cool) (.+) with (.+)")


@dataclass(slots=True)
class Household:
    """Names are the engine's: "cabinet 3", "mug 1"."""

    places: tuple[str, ...]  # in the order of the opening text
    here: str | None = None  # the place that the agent stands at
    reached: set[str] = field(default_factory=set)
    contents: dict[str, list[str]] = field(default_factory=dict)  # of the places looked into, or reached and open
    holding: str | None = None
    treated: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, opening: str) -> "Household":
        """The opening text lists every place."""
        return cls(tuple(_LISTED.findall(opening.partition("Your task is to")[0])))

    def see(self, command: str, feedback: str) -> None:
        """Take in what the engine answered to a command."""
        if arrived := _ARRIVED.fullmatch(command):
            self._look(arrived.group(1), feedback)
        elif taken := _TAKEN.fullmatch(command):
            self.holding, place = taken.groups()
            self.contents[place].remove(self.holding)
        elif put := _PUT.fullmatch(command):
            self.contents.setdefault(put.group(3), []).append(self.holding)
            self.holding = None
        elif treated := _TREATED.fullmatch(command):
            self.treated.add(treated.group(1))

    def find(self, kind: str) -> list[tuple[str, str]]:
        """Known objects of a kind with their places, what is here first."""
        found = [
            (thing, place) for place, things in self.contents.items() for thing in things if kind_of(thing) == kind
        ]
        return sorted(found, key=lambda pair: pair[1] != self.here)

    def _look(self, place: str, text: str) -> None:
        self.here = place
        self.reached.add(place)
        _, seen, listed = text.partition("you see ")
        if seen:  # a closed place shows nothing
            self.contents[place] = _LISTED.findall(listed)


def kind_of(name: str) -> str:
    """`mug 1` -> `mug`."""
    return name.partition(" ")[0]


def closing_kinds() -> frozenset[str]:
    """Kinds of places that are closed at first: common sense, not this house's secret."""
    return frozenset(kind.lower() for kind in package.constants().OPENABLE_CLASS_SET)


def homes_of(kind: str) -> frozenset[str]:
    """Kinds of places that an object of this kind may lie in, anywhere in ALFWorld."""
    table = package.constants().VAL_RECEPTACLE_OBJECTS
    return frozenset(place.lower() for place, held in table.items() if kind in {thing.lower() for thing in held})
