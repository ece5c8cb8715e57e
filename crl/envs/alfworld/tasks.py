"""Task sets: generated games or those of an original tree, each won by the oracle before it is handed out."""

import logging
from collections.abc import Iterator
from dataclasses import replace

from crl.envs.alfworld import package
from crl.envs.alfworld.game import Game, to_payload
from crl.envs.alfworld.generate import generate
from crl.envs.alfworld.original import read_games
from crl.envs.errors import EnvCrash, EnvError
from crl.envs.family import TaskRequest
from crl.types import Task

_ATTEMPTS = 20  # per seed; the first one served in all of 260 games tried
log = logging.getLogger(__name__)


def task_set(request: TaskRequest) -> Iterator[Task]:
    """The instances of a request. Difficulty is the oracle's number of commands. Raises EnvError, DataError."""
    games = _generated(request) if request.source is None else _original(request)
    for index, game in zip(range(request.count), games, strict=False):
        yield request.task(
            request.first_seed + index,
            payload=to_payload(game),
            goal=game.goal,
            difficulty=float(len(game.walkthrough)),
        )


def _generated(request: TaskRequest) -> Iterator[Game]:
    problems: set[str] = set()  # no instance twice
    for index in range(request.count):
        seed = request.first_seed + index
        for attempt in range(_ATTEMPTS):
            game = _solved(generate(request.level, request.split, seed, attempt), request.max_steps)
            if game is not None and game.problem not in problems:
                break
        else:
            raise EnvError(
                f"level = {request.level!r}, seed = {seed}: the oracle solved none of {_ATTEMPTS} generated games in "
                f"{request.max_steps} steps. "
                "Remedy: raise max_steps (15 serve), or check the versions of textworld and alfworld"
            )
        problems.add(game.problem)
        yield game


def _original(request: TaskRequest) -> Iterator[Game]:
    for path, game in read_games(request.source, request.split, request.level):
        solved = _solved(game, request.max_steps)
        if solved is None:
            log.warning(
                "%s: neither the oracle nor its own walkthrough wins it in %d steps; left out", path, request.max_steps
            )
        else:
            yield solved


def _solved(game: Game, max_steps: int) -> Game | None:
    """The game with commands that won it in time on the true engine; None when nothing does."""
    try:
        commands = package.load("crl.envs.alfworld.oracle").solve(game)
    except EnvCrash as error:
        log.warning("%s, %s: %s", game.scene, game.instruction, error)
        return None
    if commands is None or len(commands) > max_steps:
        return None
    return replace(game, walkthrough=commands)
