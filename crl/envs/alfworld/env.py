"""ALFWorld as a text environment: the true engine, in its own words."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from crl.envs.alfworld import package
from crl.envs.alfworld.game import TASK_TYPES, Game, from_payload
from crl.envs.alfworld.generate import LEVEL, generate
from crl.envs.alfworld.tasks import task_set
from crl.envs.contract import Observation, StepResult
from crl.envs.errors import EnvCrash, EnvError, not_running
from crl.envs.family import TaskRequest
from crl.types import Outcome, Task

if TYPE_CHECKING:
    from crl.envs.alfworld.interpreter import Reply

_NOTHING = "Nothing happens."  # the interpreter's own words for a command that it does not admit
_MANUAL = (
    "You are in a room with furniture, appliances and objects, and have {steps} steps. Each step is one command, "
    "written exactly as the list of admissible commands has it: go to (place), open (place), close (place), "
    "take (object) from (place), move (object) to (place), use (lamp), heat (object) with (microwave), "
    "cool (object) with (fridge), clean (object) with (sinkbasin), slice (object) with (knife), examine (thing), "
    "inventory, look, help. You carry one object at a time, see what lies at a place when you are there, and must "
    "open closed places first. To heat, cool or clean something, carry it to the appliance. To look at something "
    "under a lamp, carry it to the lamp and use the lamp."
)


class AlfWorldEnv:
    """A `TextEnv` over one interpreter, which loads 2 MB of library and plays any number of games, one at a time.

    For wrappers: the running episode's `game`, the interpreter's last `reply`, and `play`.
    """

    levels = (LEVEL, *TASK_TYPES)
    game: Game
    reply: "Reply"

    def __init__(self) -> None:
        self._interpreter = None  # made by the first reset: its packages are heavy, and may be missing
        self._task: Task | None = None  # None: no episode is running

    def reset(self, task: Task) -> Observation:
        self._task = None
        self.game = game_of(task)
        if self._interpreter is None:
            self._interpreter = package.new_interpreter()
        self.reply = self._ask(self._interpreter.reset, self.game)
        self._task, self._steps = task, 0
        return Observation(
            text=self.reply.feedback,
            goal=self.game.goal,
            actions=self.reply.commands,
            manual=_MANUAL.format(steps=task.max_steps),
        )

    def step(self, action: str) -> StepResult:
        if self._task is None:
            raise not_running(action)
        if action not in self.reply.commands:
            return StepResult.refused(Observation(_NOTHING, actions=self.reply.commands))
        return self.play(action)

    def play(self, command: str) -> StepResult:
        """One step of the running episode, whether the interpreter admits the command or not."""
        self.reply = self._ask(self._interpreter.step, command)
        self._steps += 1
        won = self.reply.won
        truncated = not won and self._steps >= self._task.max_steps
        outcome = Outcome.SUCCESS if won else Outcome.TIMEOUT if truncated else None
        if outcome is not None:
            self._task = None
        return StepResult(
            Observation(self.reply.feedback, actions=self.reply.commands),
            reward=1.0 if won else -1.0 if truncated else 0.0,
            terminated=won,
            truncated=truncated,
            outcome=outcome,
            info={"command": command},
        )

    def close(self) -> None:
        if self._interpreter is not None:
            self._interpreter.close()
        self._interpreter = self._task = None

    @classmethod
    def task_set(cls, request: TaskRequest) -> Iterator[Task]:
        """See `crl.envs.alfworld.tasks`."""
        return task_set(request)

    @classmethod
    def solution(cls, task: Task) -> tuple[str, ...]:
        """The oracle's commands; proven on the interpreter when the task set was made, else now. Raises EnvError."""
        game = game_of(task)
        if game.walkthrough:
            return game.walkthrough
        interpreter = package.new_interpreter()
        try:
            from crl.envs.alfworld.oracle import solve

            commands = solve(interpreter, game)
        finally:
            interpreter.close()
        if commands is None:
            raise EnvError(f"{task.id}: the oracle finds no solution. Remedy: take the task from a task set")
        return commands

    def _ask(self, call, argument):  # the interpreter's module is imported late
        try:
            return call(argument)
        except EnvCrash:
            self._interpreter = self._task = None  # it closed itself; the next reset makes another
            raise


def game_of(task: Task) -> Game:
    """The game of a task's payload; without one, the game that level, split and seed name. Raises DataError, EnvError."""
    return from_payload(task.payload) if task.payload else generate(task.level, task.split, task.seed)
