"""The world of rules as a text environment: a room of a kind, four doors, one try."""

from dataclasses import replace

from crl.envs.contract import Observation, StepResult
from crl.envs.errors import not_running
from crl.envs.family import SeedTasks, TaskRequest
from crl.envs.rules import texts
from crl.envs.rules.world import DOORS, Room, parse_level, room_of, rooms, rules
from crl.errors import ConfigError
from crl.types import Outcome, Task


class RulesEnv:
    """A `TextEnv` of one decision per episode, on purpose: what helps here is knowing, and no skill.

    The end of an episode shows which door would have been good, whichever was taken.

    Args:
        observation: the style; `slots` for tiny models, whole sentences in any other
    """

    levels = ("known", "new")

    def __init__(self, observation: str = "grid") -> None:
        self._terse = observation == "slots"
        self._task: Task | None = None  # None: no episode is running

    @classmethod
    def task_set(cls, request: TaskRequest) -> SeedTasks:
        """The level's instances of the split, at most `count`, none twice. Raises ConfigError, EnvError."""
        if request.source is not None:
            raise ConfigError(
                f"tasks.mix.{request.name}.source = {request.source!r}: rules draws its rooms. Remedy: remove it"
            )
        count = min(request.count, len(rooms(request.level, request.split)))
        return SeedTasks(replace(request, count=count), texts.GOAL)

    @classmethod
    def solution(cls, task: Task) -> tuple[str, ...]:
        """The good door."""
        return (_good(task),)

    @classmethod
    def oracle(cls, task: Task) -> str:
        """The true rule of the task's kind of room."""
        return texts.about(_room(task).kind, f"take the {_good(task)} door")

    def reset(self, task: Task) -> Observation:
        self._task = None  # a room that does not exist leaves no episode behind
        self._room = _room(task)
        self._task = task
        goal, manual = (texts.GOAL_IN_SLOTS if self._terse else texts.GOAL), texts.MANUAL
        return Observation(self._text(), goal, DOORS, manual)

    def step(self, action: str) -> StepResult:
        if self._task is None:
            raise not_running(action)
        if action not in DOORS:
            text = self._text()
            if not self._terse:
                text = f"{action[:40]!r} is not an action here; the world did not move.\n{text}"
            return StepResult.refused(Observation(text, actions=DOORS))
        good = _good(self._task)
        self._task = None
        text = texts.way_out(good) if self._terse else texts.ending(action, good)
        return StepResult.after(Observation(text, actions=DOORS), Outcome.SUCCESS if action == good else Outcome.DEATH)

    def close(self) -> None:
        self._task = None

    def _text(self) -> str:
        return texts.sentence(self._room) if self._terse else texts.describe(self._room)


def _room(task: Task) -> Room:
    return room_of(task.level, task.split, task.seed)


def _good(task: Task) -> str:
    _, world = parse_level(task.level)
    return rules(world)[_room(task).kind]
