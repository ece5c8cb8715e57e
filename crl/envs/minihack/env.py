"""MiniHack as a text environment: the real engine, what the agent has seen, the screen as text."""

from dataclasses import replace

from crl.envs.contract import Observation, StepResult
from crl.envs.errors import not_running
from crl.envs.family import SeedTasks, TaskRequest
from crl.envs.minihack.directions import STEPS
from crl.envs.minihack.game import Game
from crl.envs.minihack.grid import Screen
from crl.envs.minihack.levels import STANDARD, kind_of
from crl.envs.minihack.world import World
from crl.types import Outcome, Task


class MiniHackEnv:
    """A `TextEnv` over MiniHack. For wrappers: `world`, what the agent knows in the running episode, and `play`.

    The engine of each level id played so far stays open until `close` (about 3.4 MB each).
    """

    levels = STANDARD
    world: World

    @classmethod
    def task_set(cls, request: TaskRequest) -> SeedTasks:
        """Levels without end: one per seed, all with the goal of their kind."""
        return SeedTasks(request, kind_of(request.level).goal)

    def __init__(self) -> None:
        self._games: dict[str, Game] = {}
        self._running = False

    def reset(self, task: Task) -> Observation:
        self._running = False  # a level that cannot be built leaves no episode behind
        if task.level not in self._games:
            self._games[task.level] = Game(task.level)
        kind = kind_of(task.level)
        self._game = self._games[task.level]
        self._frame = self._game.reset(task.seed)
        self.world = World(self._frame)
        self._screen = Screen()
        self._screen.see(self.world, self._frame)
        self._running, self._steps, self._max_steps = True, 0, task.max_steps
        return Observation(
            text=self._text(),
            goal=kind.goal,
            actions=self._game.actions,
            manual=f"{kind.goal} {kind.rules} You have {task.max_steps} steps.",
        )

    def step(self, action: str) -> StepResult:
        if not self._running:
            raise not_running(action)
        if action not in self._game.actions:
            text = f"{action[:40]!r} is not an action here; the world did not move.\n{self._text()}"
            return StepResult.refused(self._observation(text))
        result = self.play(action)
        if result.terminated:
            return replace(result, observation=self._observation(self._last_words(result.outcome)))
        self._screen.see(self.world, self._frame)
        return replace(result, observation=self._observation(self._text()))

    def play(self, action: str) -> StepResult:
        """One step of the running episode by one of its actions, without a look at the screen: no text is drawn."""
        self._frame, outcome = self._game.step(action)
        self._steps += 1
        before = self.world.here
        # A finished engine reports an all-zero status: the memory keeps the last living moment.
        if outcome is None:
            self.world.see(self._frame, action)
        moved = action in STEPS and (self.world.here != before or outcome is Outcome.SUCCESS)
        result = StepResult.after(self._observation(""), outcome, late=self._steps >= self._max_steps, moved=moved)
        self._running = not result.done
        return result

    def close(self) -> None:
        for game in self._games.values():
            game.close()
        self._games.clear()
        self._running = False

    def _text(self) -> str:
        return self._screen.describe(self.world, self._frame, self._steps, self._max_steps, self._game.actions)

    def _last_words(self, outcome: Outcome) -> str:
        message = self._frame.message.tobytes().split(b"\0", 1)[0].decode("latin-1")
        return f"Message: {message or '(none)'}\n{_LAST_WORDS[outcome]}"

    def _observation(self, text: str) -> Observation:
        return Observation(text, actions=self._game.actions)


_LAST_WORDS = {Outcome.SUCCESS: "You reached the goal.", Outcome.DEATH: "You died."}
