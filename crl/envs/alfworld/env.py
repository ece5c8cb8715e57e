"""ALFWorld as a text environment: the true engine, in its own words."""

from typing import TYPE_CHECKING

from crl.envs.alfworld import package
from crl.envs.alfworld.game import TASK_TYPES, Game, from_payload
from crl.envs.alfworld.generate import LEVEL, generate
from crl.envs.alfworld.tasks import task_set
from crl.envs.contract import Observation, StepResult
from crl.envs.errors import EnvError, not_running
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
    """A `TextEnv` over one interpreter per episode.

    For wrappers: the running episode's `game`, the interpreter's last `reply`, and `play`.
    """

    levels = (LEVEL, *TASK_TYPES)
    task_set = staticmethod(task_set)
    game: Game
    reply: "Reply"

    def __init__(self) -> None:
        self._interpreter = None  # its packages are heavy, and may be missing
        self._task: Task | None = None  # None: no episode is running

    def reset(self, task: Task) -> Observation:
        self.close()
        self.game = game_of(task)
        self._interpreter = package.load("crl.envs.alfworld.interpreter").Interpreter()
        self.reply = self._interpreter.reset(self.game)
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
        task, self._task = self._task, None  # should the interpreter fail now, the episode is over
        self.reply = self._interpreter.step(command)
        self._steps += 1
        won = self.reply.won
        truncated = not won and self._steps >= task.max_steps
        outcome = Outcome.SUCCESS if won else Outcome.TIMEOUT if truncated else None
        if outcome is None:
            self._task = task
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
    def solution(cls, task: Task) -> tuple[str, ...]:
        """The oracle's commands; proven on the interpreter when the task set was made, else now. Raises EnvError."""
        game = game_of(task)
        commands = game.walkthrough or package.load("crl.envs.alfworld.oracle").solve(game)
        if commands is None:
            raise EnvError(f"{task.id}: the oracle finds no solution. Remedy: take the task from a task set")
        return commands


def game_of(task: Task) -> Game:
    """The game of a task's payload; without one, the game that level, split and seed name. Raises DataError, EnvError."""
    return from_payload(task.payload) if task.payload else generate(task.level, task.split, task.seed)
