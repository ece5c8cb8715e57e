"""The true engine: textworld's PDDL environment with ALFWorld's domain, grammar and names.

Library facts this file is built around (textworld 1.7.0, fast-downward-textworld 20.6.4):
- Nothing in it is thread-safe, not even two environments: one lock per process around every call.
- Each environment loads a copy of libdownward.so (2 MB) and never frees it. Its own `close_lib` crashes the process now
  and then (dlclose, a later dlopen: segmentation fault), so closed interpreters leave theirs to the next one instead.
- A problem that the translator does not understand ends in SystemExit, which no one would count.
"""

import json
import re
import threading
import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import fast_downward
from alfworld.agents.utils.misc import Demangler
from textworld import EnvInfos
from textworld.envs.pddl.logic import GameLogic, PddlState
from textworld.envs.pddl.pddl import PddlEnv
from textworld.envs.pddl.textgen import ContextSensitiveGrammar
from textworld.generator.game import EntityInfo
from textworld.logic import Action, Proposition

from crl.envs.alfworld import package
from crl.envs.alfworld.game import Game
from crl.envs.alfworld.memo import forget, memoised
from crl.envs.errors import EnvCrash, EnvError

_LOCK = threading.RLock()
_IDLE: list[Any] = []  # libraries of closed interpreters
_CONDITION = re.compile(r"(\w+)\(")  # predicates that a command's template asks about
_CONSTANT = frozenset({"receptacleatlocation"})  # furniture stays: such a command's text never changes in a game
_MAX_KNOWN = 256  # games, about 100 KB each


class Reply(NamedTuple):
    """What the interpreter says after a reset or a step."""

    feedback: str
    commands: tuple[str, ...]  # admissible now, sorted
    won: bool


class Interpreter:
    """Plays one game at a time. After an EnvCrash it is closed."""

    def __init__(self) -> None:
        with _LOCK:
            library = _IDLE.pop() if _IDLE else _load_library()
            self._env: _Env | None = _Env(library)
        self._give_back = weakref.finalize(self, _rest, library)
        self._give_back.atexit = False  # the process ends anyway

    def reset(self, game: Game) -> Reply:
        """Start a game from its beginning. Raises EnvCrash."""
        return self._call("reset", lambda env: env.start(game))

    def step(self, command: str) -> Reply:
        """Play one admissible command. Raises EnvCrash."""
        return self._call(f"step({command!r})", lambda env: env.step(command)[0])

    def facts(self) -> list[Proposition]:
        """What holds now, in the interpreter's own names; for the oracle only."""
        return list(self._env._pddl_state.facts)

    def names(self) -> dict[str, str]:
        """The interpreter's own name -> the name in texts and commands."""
        return {id_: info.name for id_, info in self._env._entity_infos.items()}

    def close(self) -> None:
        """Give the library back, without its game. The interpreter plays no more."""
        self._env = None
        self._give_back()

    def _call(self, what: str, call: Callable[["_Env"], dict]) -> Reply:
        if self._env is None:
            raise EnvError(f"{what} on a closed ALFWorld interpreter. Remedy: make a new one")
        try:
            with _LOCK, memoised():
                state = call(self._env)
                return Reply(state["feedback"], tuple(state["admissible_commands"]), bool(state["won"]))
        except (Exception, SystemExit) as error:  # the boundary to foreign code: it costs this episode only
            self._give_back.detach()  # nobody knows what state this library is in: it is never used again
            self._env = None
            raise EnvCrash(f"alfworld {what}: the interpreter failed with {type(error).__name__}: {error}") from error


def _load_library() -> Any:
    library = fast_downward.load_lib()
    library.load_sas_replan = lambda sas: None  # no planner is asked; its problem would cost as much as the game's
    return library


def _rest(library: Any) -> None:
    with _LOCK:
        library.cleanup()
        _IDLE.append(library)


@lru_cache(_MAX_KNOWN)
def _known(domain: str, problem: str) -> tuple[dict[str, EntityInfo], dict[tuple[str, ...], str]]:
    """What is the same in every episode of a game, filled in by the first: its things, by their own names; texts of
    commands, by template, action and its variables."""
    return {}, {}


class _Env(PddlEnv):
    """textworld's environment, started from a `Game`: no file, no planner, ALFWorld's names, commands kept."""

    def __init__(self, library: Any) -> None:
        super(PddlEnv, self).__init__(EnvInfos(won=True, admissible_commands=True))  # PddlEnv's own loads a library
        self.downward_lib = library

    def start(self, game: Game) -> dict:
        forget()
        self._game_data = {"pddl_problem": game.problem}
        self._logic = _logic(game)
        self._entity_infos, self._commands = _known(game.domain, game.problem)
        if not self._entity_infos:
            self._entity_infos.update(self._named_things())
        return self.reset()

    def _named_things(self) -> dict[str, EntityInfo]:
        """All things that facts speak of. `reset` makes a state, too, but its first text needs their names."""
        self._pddl_state = PddlState(self.downward_lib, self._game_data["pddl_problem"], self._logic)
        things = self._get_entity_infos()
        names = Demangler(game_infos=things, shuffle=False)
        for thing in things.values():
            thing.name = names.demangle_alfred_name(thing.id)
        return things

    def _gather_infos(self) -> None:
        """What stock gathers of it is asked for: the commands, and whether the game is won.

        Stock derives the text of each of the (up to hundreds of) commands again in every step.
        """
        state = self._pddl_state
        self.state["won"], self.state["lost"] = state.check_goal(), False
        self.state["_valid_actions"] = state.all_applicable_actions()
        self.state["_valid_commands"] = [self._command(action) for action in self.state["_valid_actions"]]
        self.state["admissible_commands"] = sorted(set(self.state["_valid_commands"]))

    def _command(self, action: Action) -> str:
        template, mapping = action.command_template, action.mapping
        used = _words(template)  # `go to {r}` does not depend on where the agent comes from
        key = (template, action.name, *(variable.name for hole, variable in mapping.items() if hole.name in used))
        if key not in self._commands:
            context = {
                "state": self._pddl_state,
                "facts": list(self._pddl_state.facts),
                "variables": {hole.name: self._entity_infos[var.name] for hole, var in mapping.items()},
                "mapping": mapping,
                "entity_infos": self._entity_infos,
            }
            action.command_template = self._logic.grammar.derive(template, context)
            command = action.format_command({id_: info.name for id_, info in self._entity_infos.items()})
            if not set(_CONDITION.findall(template)) <= _CONSTANT:
                return command
            self._commands[key] = command
        return self._commands[key]


@lru_cache(1000)
def _words(template: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", template))


def _logic(game: Game) -> GameLogic:
    """Domain and grammar. The package's grammar is parsed once per process; only the instruction differs."""
    logic = GameLogic(domain=game.domain or package.domain(), grammar=game.grammar or package.grammar())
    if not game.grammar:
        rule = {"task": [{"rhs": f"Your task is to: {game.instruction}."}]}
        logic.grammar._rules["task"] = ContextSensitiveGrammar.parse(json.dumps(rule))._rules["task"]
    return logic
