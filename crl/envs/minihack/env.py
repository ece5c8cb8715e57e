"""MiniHack as a text environment: the real engine, what the agent has seen, a text style."""

from crl.envs.contract import Observation, StepResult
from crl.envs.errors import EnvError
from crl.envs.family import SeedTasks, TaskRequest
from crl.envs.minihack.directions import STEPS
from crl.envs.minihack.game import Game
from crl.envs.minihack.grid import Screen
from crl.envs.minihack.levels import STANDARD, kind_of
from crl.envs.minihack.oracle import solve
from crl.envs.minihack.script import MiniHackScript
from crl.envs.minihack.world import World
from crl.tiny.slots import minihack as slots
from crl.types import Outcome, Task


class MiniHackEnv:
    """A `TextEnv` over MiniHack. `observation` is "slots" (tiny models) or "grid" (models that read).

    The engine of each level id played so far stays open until `close` (about 3.4 MB each).
    """

    levels = STANDARD

    @classmethod
    def task_set(cls, request: TaskRequest) -> SeedTasks:
        """Levels without end: one per seed, all with the goal of their kind."""
        return SeedTasks(request, kind_of(request.level).goal)

    @classmethod
    def script(cls, level: str) -> MiniHackScript:
        return MiniHackScript(level)

    @classmethod
    def solution(cls, task: Task) -> tuple[str, ...]:
        return solve(cls, task)

    def __init__(self, observation: str) -> None:
        self._style = observation
        self._games: dict[str, Game] = {}
        self._task: Task | None = None  # None: no episode is running

    def reset(self, task: Task) -> Observation:
        if task.level not in self._games:
            self._games[task.level] = Game(task.level)
        self._task = task
        self._kind = kind_of(task.level)
        self._game = self._games[task.level]
        self._frame = self._game.reset(task.seed)
        self.world = World(self._frame)
        self._screen = Screen()
        self._see_screen()
        self._steps = 0
        tiny = self._style == "slots"
        return Observation(
            text=self._text(),
            goal=self._kind.short_goal if tiny else self._kind.goal,
            actions=self._game.actions,
            manual=f"{self._kind.goal} {self._kind.rules} You have {task.max_steps} steps.",
        )

    def step(self, action: str) -> StepResult:
        if self._task is None:
            raise EnvError(f"step({action!r}) without a running episode. Remedy: call reset(task) first")
        if action not in self._game.actions:
            return StepResult(self._refusal(action), 0.0, terminated=False, truncated=False, valid=False)
        self._frame, outcome = self._game.step(action)
        self._steps += 1
        before = self.world.here
        # A finished engine reports an all-zero status: the memory keeps the last living moment.
        if outcome is None:
            self.world.see(self._frame, action)
            self._see_screen()
        moved = action in STEPS and (self.world.here != before or outcome is Outcome.SUCCESS)
        return self._result(outcome, moved)

    def close(self) -> None:
        for game in self._games.values():
            game.close()
        self._games.clear()
        self._task = None

    def _result(self, outcome: Outcome | None, moved: bool) -> StepResult:
        terminated = outcome is not None
        truncated = not terminated and self._steps >= self._task.max_steps
        if truncated:
            outcome = Outcome.TIMEOUT
        text = self._last_words(outcome) if terminated else self._text()
        if outcome is not None:
            self._task = None
        return StepResult(
            Observation(text, actions=self._game.actions),
            reward=1.0 if outcome is Outcome.SUCCESS else 0.0,
            terminated=terminated,
            truncated=truncated,
            outcome=outcome,
            info={"moved": moved},
        )

    def _see_screen(self) -> None:
        if self._style == "grid":
            self._screen.see(self.world, self._frame)

    def _text(self) -> str:
        if self._style == "slots":
            return slots.describe(self.world, self._kind.landmarks)
        return self._screen.describe(self.world, self._frame, self._steps, self._task.max_steps, self._game.actions)

    def _last_words(self, outcome: Outcome) -> str:
        if self._style == "slots":
            return outcome.value
        message = self._frame.message.tobytes().split(b"\0", 1)[0].decode("latin-1")
        return f"Message: {message or '(none)'}\n{_LAST_WORDS[outcome]}"

    def _refusal(self, action: str) -> Observation:
        """What the agent knew before, unchanged; the slots style leaves the feedback to `valid` and the prompt."""
        text = self._text()
        if self._style == "grid":
            text = f"{action[:40]!r} is not an action here; the world did not move.\n{text}"
        return Observation(text, actions=self._game.actions)


_LAST_WORDS = {Outcome.SUCCESS: "You reached the goal.", Outcome.DEATH: "You died."}
