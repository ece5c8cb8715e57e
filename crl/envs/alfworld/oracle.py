"""The constructive oracle: reads all facts, and plays what a household expert who knows them would.

It proves that a game can be solved (the commands are played on the true engine) and measures how long that takes.
"""

from collections import defaultdict
from collections.abc import Callable

from crl.envs.alfworld.game import Game, put_command
from crl.envs.alfworld.interpreter import Interpreter

_TREATMENT = {
    "pick_clean_then_place_in_recep": ("clean", "cleanable", "sinkbasin"),
    "pick_heat_then_place_in_recep": ("heat", "heatable", "microwave"),
    "pick_cool_then_place_in_recep": ("cool", "coolable", "fridge"),
}


def solve(interpreter: Interpreter, game: Game) -> tuple[str, ...] | None:
    """Commands that win the game, played on the interpreter; None when the oracle finds no way."""
    expert = _Expert(interpreter, game)
    try:
        won = expert.play()
    except LookupError:  # an object, a place or a command that the plan needs is not there
        return None
    return tuple(expert.commands) if won else None


def replay(interpreter: Interpreter, game: Game, commands: tuple[str, ...]) -> bool:
    """Do these commands win the game?"""
    reply = interpreter.reset(game)
    for command in commands:
        if command not in reply.commands:
            return False
        reply = interpreter.step(command)
    return reply.won


class _Expert:
    def __init__(self, interpreter: Interpreter, game: Game) -> None:
        self._interpreter, self._game = interpreter, game
        self._reply = interpreter.reset(game)
        self._names = interpreter.names()
        self._facts = defaultdict(list)  # predicate -> argument tuples
        for fact in interpreter.facts():
            self._facts[fact.name].append(tuple(argument.name for argument in fact.arguments))
        self._pose_of = dict(self._facts["receptacleatlocation"])
        self._holder_of = dict(self._facts["inreceptacle"])
        self._here = self._facts["atlocation"][0][1]
        self._opened = {receptacle for (receptacle,) in self._facts["opened"]}
        self._openable = {receptacle for (receptacle,) in self._facts["openable"]}
        self.commands: list[str] = []

    def play(self) -> bool:
        game = self._game
        if game.lamp:
            self._fetch(self._target())
            lamp = self._cheapest(game.lamp)
            self._go(self._holder_of[lamp])
            self._do(f"use {self._name(lamp)}")
            return self._reply.won
        place = self._place()
        for _ in range(2 if game.task_type == "pick_two_obj_and_place" else 1):
            target = self._target(away_from=place)
            self._fetch(target)
            if game.task_type in _TREATMENT:
                self._treat(target, *_TREATMENT[game.task_type])
            self._bring(target, place)
        return self._reply.won

    def _target(self, away_from: str | None = None) -> str:
        able = _TREATMENT.get(self._game.task_type, (None, None, None))[1]
        allowed = {thing for (thing,) in self._facts["pickupable"]}
        if able is not None:
            allowed &= {thing for (thing,) in self._facts[able]}
        return self._cheapest(self._game.target, lambda thing: thing in allowed and self._holder_of[thing] != away_from)

    def _place(self) -> str:
        """Where to bring things: one that needs no opening, if there is one."""
        return min(self._places(self._game.place), key=lambda place: (self._closed(place), place))

    def _places(self, kind: str) -> list[str]:
        places = [place for place, type_ in self._facts["receptacletype"] if type_ == f"{kind}type"]
        if not places:
            raise LookupError(kind)
        return places

    def _closed(self, place: str) -> bool:
        return place in self._openable and place not in self._opened

    def _cheapest(self, kind: str, allowed: Callable[[str], bool] = lambda thing: True) -> str:
        """The object of a kind that needs the fewest commands to reach."""
        things = [
            thing for thing, type_ in self._facts["objecttype"]
            if type_ == f"{kind}type" and thing in self._holder_of and allowed(thing)
        ]  # fmt: skip
        if not things:
            raise LookupError(kind)
        return min(things, key=lambda thing: (self._cost(self._holder_of[thing]), thing))

    def _cost(self, place: str) -> int:
        return (self._pose_of[place] != self._here) + self._closed(place)

    def _fetch(self, thing: str) -> None:
        holder = self._holder_of.pop(thing)
        self._go(holder)
        self._do(f"take {self._name(thing)} from {self._name(holder)}")

    def _treat(self, thing: str, verb: str, able: str, tool_kind: str) -> None:
        tool = self._places(tool_kind)[0]
        self._go(tool, opening=False)
        self._do(f"{verb} {self._name(thing)} with {self._name(tool)}")

    def _bring(self, thing: str, place: str) -> None:
        self._go(place)
        self._do(put_command(self._reply.commands, self._name(thing), self._name(place)))
        self._holder_of[thing] = place

    def _go(self, place: str, opening: bool = True) -> None:
        if self._pose_of[place] != self._here:
            self._do(f"go to {self._name(place)}")
            self._here = self._pose_of[place]
        if opening and self._closed(place):
            self._do(f"open {self._name(place)}")
            self._opened.add(place)

    def _do(self, command: str) -> None:
        if command not in self._reply.commands:
            raise LookupError(command)
        self._reply = self._interpreter.step(command)
        self.commands.append(command)

    def _name(self, id_: str) -> str:
        return self._names[id_]
