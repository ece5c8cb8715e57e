"""The `slots` style: one line of fixed layout and a dozen one-word actions over the true engine, for tiny models.

    heat at:cabinet door:open want:here hand:empty tool:away goal:away likely:yes left:both

The first word is the kind of task. `door:shut`: this place is closed, so what is in it is not seen; `want`: an object
of the goal's kind lies here, is known to lie elsewhere, or was not seen; `hand:ready`: it is held and needs no
treatment (any more); `tool` is the place that treats it (for a lamp: where one was seen); `likely`: places not gone to
yet are left where such an object may lie by common sense; `left`: open, shut or both kinds of places are.

Each action is one command of the engine, chosen with what the engine's texts have told so far.
"""

from collections.abc import Iterable

from crl.envs.alfworld import package
from crl.envs.alfworld.env import AlfWorldEnv
from crl.envs.alfworld.floorplans import LAMP_PLACES
from crl.envs.alfworld.game import LIGHT, SIMPLE, TREATMENTS, TWO, put_command
from crl.envs.contract import Observation, StepResult
from crl.tiny.slots.household import Household, closing_kinds, homes_of, kind_of
from crl.tiny.slots.wrapper import SlotsEnv
from crl.types import Task

ACTIONS = (
    "search",  # go to the next place in the order of the opening text; when all were gone to, from the first again
    "likely",  # the same among places where the wanted object may lie
    "surface",  # the same among places that stand open
    "closed",  # the same among places that are closed
    "open",  # this place
    "take",  # the wanted object that lies here
    "return",  # go back to where a wanted object was seen
    "tool",  # go to the sink, microwave, fridge or lamp
    "treat",  # clean, heat, cool it or use the lamp, here
    "goal",  # go to the place where it shall be brought
    "put",  # it down at the goal
    "drop",  # it anywhere else
    "look",  # around: costs a step
)
_KINDS = {  # task type -> first word, verb and place of the treatment
    SIMPLE: ("put", "", ""),
    TWO: ("two", "", ""),
    **{task_type: (way.verb, way.verb, way.tool.lower()) for task_type, way in TREATMENTS.items()},
    LIGHT: ("light", "use", ""),
}
_LEFT = {(True, True): "both", (True, False): "open", (False, True): "shut", (False, False): "none"}
KINDS = tuple(first for first, _, _ in _KINDS.values())


class AlfWorldSlots(SlotsEnv[AlfWorldEnv]):
    """The errand, and what is known of the house."""

    def begin(self, task: Task, shown: Observation) -> None:
        game = self._game = self.env.game
        self._kind, self._verb, self._tool_kind = _KINDS[game.task_type]
        self._house = Household.of(shown.text)
        self._homes = homes_of(game.target) - {game.place}
        self._lamp_homes = frozenset(kind.lower() for kind in LAMP_PLACES)
        self._chosen: str | None = None  # two objects belong into one and the same place
        self._again = 0  # places that `search` has gone to once more
        self._brought: set[str] = set()
        self.goal = f"{self._kind} {game.target} {f'under {game.lamp}' if game.lamp else f'to {game.place}'}"

    def sentence(self) -> str:
        wanted, here, tool, ahead = self._wanted(), self._house.here, self._tool(), self._ahead()
        return " ".join(
            (
                self._kind,
                f"at:{kind_of(here) if here else 'start'}",
                f"door:{self._door()}",
                f"want:{'unseen' if not wanted else 'here' if wanted[0][1] == here else 'known'}",
                f"hand:{self._hand()}",
                f"tool:{'unseen' if self._verb and tool is None else _where(tool, here)}",
                f"goal:{_where(self._goal_place(), here)}",
                f"likely:{'yes' if ahead['likely'] else 'no'}",
                f"left:{_LEFT[bool(ahead['surface']), bool(ahead['closed'])]}",
            )
        )

    def actions(self) -> tuple[str, ...]:
        return tuple(action for action, command in self._commands().items() if command)

    def act(self, action: str) -> StepResult:
        house, command = self._house, self._commands()[action]
        if action == "search" and not self._ahead()["search"]:
            self._again += 1
        elif action == "put":
            self._chosen = house.here
            self._brought.add(house.holding)
        result = self.env.play(command)
        house.see(command, self.env.reply.feedback)
        return result

    def _commands(self) -> dict[str, str | None]:
        """The engine's command for each of `ACTIONS`; None for those that do not apply now."""
        house, tool, goal, ahead = self._house, self._tool(), self._goal_place(), self._ahead()
        here, holding = house.here, house.holding
        lying_here = [thing for thing, place in self._wanted() if place == here]
        put = put_command(self.env.reply.commands, holding, here) if holding and here else None
        at_goal = here is not None and kind_of(here) == self._game.place
        return {
            "search": self._go(_first(ahead["search"]) or house.places[self._again % len(house.places)]),
            **{action: self._go(_first(ahead[action])) for action in ("likely", "surface", "closed")},
            "open": f"open {here}" if self._door() == "shut" else None,
            "take": f"take {lying_here[0]} from {here}" if lying_here and holding is None else None,
            "return": self._go(_first(place for _, place in self._wanted() if place != here)),
            "tool": self._go(tool if tool != here else None),
            "treat": self._treating() if tool is not None and tool == here else None,
            "goal": self._go(goal if goal != here else None),
            "put": put if at_goal else None,
            "drop": None if at_goal else put,
            "look": "look",
        }

    def _go(self, place: str | None) -> str | None:
        if place is None:
            return None
        going = f"go to {place}"
        return going if going in self.env.reply.commands else f"examine {place}"  # some places share a spot

    def _treating(self) -> str | None:
        if self._game.lamp:
            lamp, _ = self._house.find(self._game.lamp)[0]
            return f"use {lamp}"
        holding = self._house.holding
        return f"{self._verb} {holding} with {self._house.here}" if holding else None

    # -- what is known, in the goal's terms

    def _wanted(self) -> list[tuple[str, str]]:
        """Seen objects of the goal's kind, but for those brought to the chosen place; what is here first."""
        return [
            (thing, place)
            for thing, place in self._house.find(self._game.target)
            if not (thing in self._brought and place == self._chosen and self._kind == "two")
        ]

    def _ahead(self) -> dict[str, list[str]]:
        """Places not gone to yet, by the action that goes to the first of them."""
        house, closing = self._house, closing_kinds()
        likely = self._lamp_homes if self._game.lamp and house.holding else self._homes
        ahead = [place for place in house.places if place not in house.reached]
        return {
            "search": ahead,
            "likely": [place for place in ahead if kind_of(place) in likely],
            "surface": [place for place in ahead if kind_of(place) not in closing],
            "closed": [place for place in ahead if kind_of(place) in closing],
        }

    def _door(self) -> str:
        here = self._house.here
        if here is None or kind_of(here) not in closing_kinds():
            return "none"
        return "shut" if f"open {here}" in self.env.reply.commands else "open"

    def _tool(self) -> str | None:
        """The place of the treatment; the opening text names it, but a lamp must have been seen."""
        if self._game.lamp:
            return _first(place for _, place in self._house.find(self._game.lamp))
        return _first(place for place in self._house.places if kind_of(place) == self._tool_kind)

    def _goal_place(self) -> str | None:
        return self._chosen or _first(place for place in self._house.places if kind_of(place) == self._game.place)

    def _hand(self) -> str:
        if self._house.holding is None:
            return "empty"
        return "raw" if self._verb and self._house.holding not in self._house.treated else "ready"


def _first(places: Iterable[str]) -> str | None:
    return next(iter(places), None)


def _where(place: str | None, here: str | None) -> str:
    return "none" if place is None else "here" if place == here else "away"


def words() -> tuple[str, ...]:
    """Every word that goals and sentences can hold."""
    constants = package.constants()
    places = sorted(
        kind.lower() for kind in constants.VAL_RECEPTACLE_OBJECTS.keys() - constants.MOVABLE_RECEPTACLES_SET
    )
    things = sorted({thing.lower() for held in constants.VAL_RECEPTACLE_OBJECTS.values() for thing in held})
    lamps = sorted(lamp.lower() for lamp in constants.VAL_ACTION_OBJECTS["Toggleable"])
    marks = {
        "door": ("none", "shut", "open"), "want": ("here", "known", "unseen"), "hand": ("empty", "raw", "ready"),
        "tool": ("none", "unseen", "here", "away"), "goal": ("none", "here", "away"), "likely": ("yes", "no"),
        "left": tuple(_LEFT.values()),
    }  # fmt: skip
    return (
        *KINDS,
        *(f"at:{place}" for place in ("start", *places)),
        *(f"{name}:{mark}" for name, values in marks.items() for mark in values),
        *dict.fromkeys((*places, *things, *lamps)),
        "to",
        "under",
    )
