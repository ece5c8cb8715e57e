"""The constructive oracle: reads all facts, and plays what a household expert who knows them would.

It proves that a game can be solved (the commands are played on the true engine) and measures how long that takes.
"""

from collections import defaultdict
from collections.abc import Callable
from contextlib import closing

from crl.envs.alfworld.game import TREATMENTS, TWO, Game, Treatment, put_command
from crl.envs.alfworld.interpreter import Interpreter


def solve(game: Game) -> tuple[str, ...] | None:
    """Commands that won the game on the interpreter: the oracle's, else the game's walkthrough. Raises EnvCrash."""
    with closing(Interpreter()) as interpreter:
        for play in (_Expert.play, _Expert.replay):
            expert = _Expert(interpreter, game)
            try:
                if play(expert):
                    return tuple(expert.commands)
            except LookupError:  # an object, a place or a command that it needs is not there
                continue
    return None


class _Expert:
    def __init__(self, interpreter: Interpreter, game: Game) -> None:
        self._interpreter, self._game, self._treatment = interpreter, game, TREATMENTS.get(game.task_type)
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
            self._do(f"use {self._names[lamp]}")
            return self._reply.won
        place = self._place()
        for _ in range(2 if game.task_type == TWO else 1):
            target = self._target(away_from=place)
            self._fetch(target)
            if self._treatment is not None:
                self._treat(target, self._treatment)
            self._bring(target, place)
        return self._reply.won

    def replay(self) -> bool:
        for command in self._game.walkthrough:
            self._do(command)
        return self._reply.won

    def _target(self, away_from: str | None = None) -> str:
        allowed = {thing for (thing,) in self._facts["pickupable"]}
        if self._treatment is not None:
            allowed &= {thing for (thing,) in self._facts[self._treatment.ability.lower()]}
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
        self._do(f"take {self._names[thing]} from {self._names[holder]}")

    def _treat(self, thing: str, treatment: Treatment) -> None:
        # Facts come in no order that another process would have.
        tool = min(self._places(treatment.tool.lower()), key=lambda place: (self._pose_of[place] != self._here, place))
        self._go(tool, opening=False)
        self._do(f"{treatment.verb} {self._names[thing]} with {self._names[tool]}")

    def _bring(self, thing: str, place: str) -> None:
        self._go(place)
        self._do(put_command(self._reply.commands, self._names[thing], self._names[place]))
        self._holder_of[thing] = place

    def _go(self, place: str, opening: bool = True) -> None:
        if self._pose_of[place] != self._here:
            self._do(f"go to {self._names[place]}")
            self._here = self._pose_of[place]
        if opening and self._closed(place):
            self._do(f"open {self._names[place]}")
            self._opened.add(place)

    def _do(self, command: str | None) -> None:
        if command not in self._reply.commands:
            raise LookupError(command)
        self._reply = self._interpreter.step(command)
        self.commands.append(command)
