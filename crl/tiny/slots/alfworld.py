"""The `slots` style: one line of fixed layout and a dozen one-word actions over the true engine, for tiny models.

    heat at:cabinet door:open want:here hand:empty tool:away goal:away likely:yes left:both

The first word is the kind of task. `door:shut`: this place is closed, so what is in it is not seen; `want`: an object
of the goal's kind lies here, is known to lie elsewhere, or was not seen; `hand:ready`: it is held and needs no
treatment (any more); `tool` is the place that treats it (for a lamp: where one was seen); `likely`: places not gone to
yet are left where such an object may lie by common sense; `left`: open, shut or both kinds of places are.

Each action is one command of the engine, chosen with what the engine's texts have told so far.
"""

from crl.envs.alfworld import package
from crl.envs.alfworld.env import AlfWorldEnv
from crl.envs.alfworld.floorplans import LAMP_PLACES
from crl.envs.alfworld.game import put_command
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
    "pick_and_place_simple": ("put", "", ""),
    "pick_two_obj_and_place": ("two", "", ""),
    "pick_clean_then_place_in_recep": ("clean", "clean", "sinkbasin"),
    "pick_heat_then_place_in_recep": ("heat", "heat", "microwave"),
    "pick_cool_then_place_in_recep": ("cool", "cool", "fridge"),
    "look_at_obj_in_light": ("light", "use", ""),
}
_LEFT = {(True, True): "both", (True, False): "open", (False, True): "shut", (False, False): "none"}
KINDS = tuple(first for first, _, _ in _KINDS.values())


class AlfWorldSlots(SlotsEnv[AlfWorldEnv]):
    """The errand, and what is known of the house."""

    def begin(self, task: Task, shown: Observation) -> None:
        game = self.env.game
        self._kind, self._verb, self._tool_kind = _KINDS[game.task_type]
        self._house = Household.of(shown.text)
        self._homes = homes_of(game.target) - {game.place}
        self._lamp_homes = frozenset(kind.lower() for kind in LAMP_PLACES)
        self._chosen: str | None = None  # two objects belong into one and the same place
        self._again = 0  # places that `search` has gone to once more
        self._brought: set[str] = set()
        self.goal = f"{self._kind} {game.target} {f'under {game.lamp}' if game.lamp else f'to {game.place}'}"

    def sentence(self) -> str:
        wanted, here = self._wanted(), self._house.here
        return " ".join(
            (
                self._kind,
                f"at:{kind_of(here) if here else 'start'}",
                f"door:{self._door()}",
                f"want:{'unseen' if not wanted else 'here' if wanted[0][1] == here else 'known'}",
                f"hand:{self._hand()}",
                f"tool:{self._tool_word()}",
                f"goal:{_where(self._goal_place(), here)}",
                f"likely:{'yes' if self._ahead('likely') else 'no'}",
                f"left:{_LEFT[bool(self._ahead('surface')), bool(self._ahead('closed'))]}",
            )
        )

    def actions(self) -> tuple[str, ...]:
        return tuple(action for action in ACTIONS if self._applies(action))

    def act(self, action: str) -> StepResult:
        command = self.command(action)
        result = self.env.play(command)
        self._house.see(command, self.env.reply.feedback)
        return result

    def command(self, action: str) -> str:
        """The engine's command for one of `actions`."""
        house = self._house
        match action:
            case "search":
                return self._go(self._next_place())
            case "likely" | "surface" | "closed":
                return self._go(self._ahead(action)[0])
            case "return":
                return self._go(next(place for _, place in self._wanted() if place != house.here))
            case "tool":
                return self._go(self._tool())
            case "goal":
                return self._go(self._goal_place())
            case "open":
                return f"open {house.here}"
            case "take":
                return "take {} from {}".format(*self._wanted()[0])
            case "treat":
                return (
                    f"use {self._lamp()}" if self.env.game.lamp else f"{self._verb} {house.holding} with {self._tool()}"
                )
            case "put" | "drop":
                if action == "put":
                    self._chosen = house.here
                    self._brought.add(house.holding)
                return put_command(self.env.reply.commands, house.holding, house.here)
        return "look"

    def _go(self, place: str) -> str:
        going = f"go to {place}"
        return going if going in self.env.reply.commands else f"examine {place}"  # some places share a spot

    def _applies(self, action: str) -> bool:
        house = self._house
        match action:
            case "likely" | "surface" | "closed":
                return bool(self._ahead(action))
            case "return":
                return any(place != house.here for _, place in self._wanted())
            case "take":
                return house.holding is None and any(place == house.here for _, place in self._wanted())
            case "open":
                return self._door() == "shut"
            case "tool":
                return self._tool_word() == "away"
            case "treat":
                return self._tool_word() == "here" and bool(self.env.game.lamp or house.holding)
            case "goal":
                return _where(self._goal_place(), house.here) == "away"
            case "put" | "drop":
                at_goal = house.here is not None and kind_of(house.here) == self.env.game.place
                return at_goal == (action == "put") and self._can_put()
        return True

    def _can_put(self) -> bool:
        if self._house.holding is None or self._house.here is None:
            return False
        try:
            return bool(put_command(self.env.reply.commands, self._house.holding, self._house.here))
        except LookupError:
            return False

    # -- what is known, in the goal's terms

    def _wanted(self) -> list[tuple[str, str]]:
        """Seen objects of the goal's kind, but for those brought to the chosen place; what is here first."""
        return [
            (thing, place)
            for thing, place in self._house.find(self.env.game.target)
            if not (thing in self._brought and place == self._chosen and self._kind == "two")
        ]

    def _ahead(self, action: str) -> list[str]:
        """Places not gone to yet, of the kinds that the action means."""
        house = self._house
        ahead = [place for place in house.places if place not in house.reached]
        if action == "likely":
            kinds = self._lamp_homes if self.env.game.lamp and house.holding else self._homes
            return [place for place in ahead if kind_of(place) in kinds]
        return [place for place in ahead if (kind_of(place) in closing_kinds()) == (action == "closed")]

    def _next_place(self) -> str:
        house = self._house
        if ahead := [place for place in house.places if place not in house.reached]:
            return ahead[0]
        self._again += 1
        return house.places[(self._again - 1) % len(house.places)]

    def _door(self) -> str:
        here = self._house.here
        if here is None or kind_of(here) not in closing_kinds():
            return "none"
        return "shut" if f"open {here}" in self.env.reply.commands else "open"

    def _lamp(self) -> str | None:
        return next((lamp for lamp, _ in self._house.find(self.env.game.lamp)), None)

    def _tool(self) -> str | None:
        """The place of the treatment; the opening text names it, but a lamp must have been seen."""
        if self.env.game.lamp:
            return next((place for _, place in self._house.find(self.env.game.lamp)), None)
        return next((place for place in self._house.places if kind_of(place) == self._tool_kind), None)

    def _goal_place(self) -> str | None:
        return self._chosen or next(
            (place for place in self._house.places if kind_of(place) == self.env.game.place), None
        )

    def _tool_word(self) -> str:
        if not self._verb:
            return "none"
        tool = self._tool()
        return "unseen" if tool is None else _where(tool, self._house.here)

    def _hand(self) -> str:
        if self._house.holding is None:
            return "empty"
        return "raw" if self._verb and self._house.holding not in self._house.treated else "ready"


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
