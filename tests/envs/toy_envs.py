"""Small text environments for tests: a good one with switches for trouble, and bad ones, each with its fault."""

import os
import random
import time
from dataclasses import replace

from crl.envs import optional
from crl.envs.contract import Observation, StepResult
from crl.envs.errors import EnvError, EnvUnavailable
from crl.envs.family import TaskRequest
from crl.seeding import stream
from crl.types import Outcome, Task

ACTIONS = ("left", "right")


class Corridor:
    """Walk to a goal that the seed places. The level "trouble" also knows `hang`, `doze`, `crash` and `die`."""

    def __init__(self, observation: str) -> None:
        self._done = True

    def reset(self, task: Task) -> Observation:
        if task.level == "broken":
            raise EnvError("level = 'broken': cannot be built. Remedy: none")
        self._task, self._at, self._steps, self._done = task, 0, 0, False
        self._goal = self.place_goal(task)
        trouble = ("hang", "doze", "crash", "die") if task.level == "trouble" else ()
        self._actions = ACTIONS + trouble
        return Observation(self.text(), "walk to the goal", self._actions, "left and right move one cell")

    def step(self, action: str) -> StepResult:
        if self._done:
            raise EnvError("the episode is over. Remedy: reset")
        if action not in self._actions:
            return StepResult(Observation("unknown action", actions=self._actions), 0.0, False, False, valid=False)
        if action == "hang":
            time.sleep(3600)
        if action == "doze":
            time.sleep(0.2)
        if action == "crash":
            raise ZeroDivisionError("planted")
        if action == "die":
            os._exit(1)
        self._steps += 1
        self._at += {"right": 1, "left": -1}.get(action, 0)
        won = self._at == self._goal
        late = not won and self._steps >= self._task.max_steps
        self._done = won or late
        outcome = Outcome.SUCCESS if won else Outcome.TIMEOUT if late else None
        return StepResult(Observation(self.text(), actions=self._actions), float(won), won, late, outcome=outcome)

    def close(self) -> None:
        return None

    def place_goal(self, task: Task) -> int:
        return int(stream("goal", task.seed).integers(1, 3)) * (1 if task.seed % 2 else -1)

    def text(self) -> str:
        return f"at {self._at}, goal {self._goal}"


class UnseededCorridor(Corridor):
    def place_goal(self, task: Task) -> int:
        return random.randrange(10**6)


class OneLevelCorridor(Corridor):
    def place_goal(self, task: Task) -> int:
        return 2


class LeakyCorridor(Corridor):
    episodes = 0

    def reset(self, task: Task) -> Observation:
        self.episodes += 1
        return super().reset(task)

    def text(self) -> str:
        return f"episode {self.episodes}, at {self._at}, goal {self._goal}"


class WordlessCorridor(Corridor):
    def text(self) -> str:
        return ""


class FussyCorridor(Corridor):
    def step(self, action: str) -> StepResult:
        result = super().step(action)
        return replace(result, valid=False) if action == "left" else result


class HastyCorridor(Corridor):
    def step(self, action: str) -> StepResult:
        if action not in ACTIONS and not self._done:
            self._at += 1
        return super().step(action)


class SilentCorridor(Corridor):
    def step(self, action: str) -> StepResult:
        return replace(super().step(action), outcome=None)


class ShapedCorridor(Corridor):
    def step(self, action: str) -> StepResult:
        result = super().step(action)
        return result if result.done else replace(result, reward=0.1)


class EndlessCorridor(Corridor):
    def reset(self, task: Task) -> Observation:
        return super().reset(replace(task, max_steps=10**6))


class TirelessCorridor(Corridor):
    def step(self, action: str) -> StepResult:
        self._done = False
        return super().step(action)


class TextCorridor(Corridor):
    """Offers no action by name: any text walks, to the right where it has an odd number of characters."""

    forms = ("{}",)

    def reset(self, task: Task) -> Observation:
        return replace(super().reset(task), actions=(), forms=self.forms)

    def step(self, action: str) -> StepResult:
        result = super().step("right" if len(action) % 2 else "left")
        return replace(result, observation=replace(result.observation, actions=(), forms=self.forms))


class CommandCorridor(TextCorridor):
    """As that, but only texts such as `go[there]`."""

    forms = ("go[{}]",)

    def step(self, action: str) -> StepResult:
        result = super().step(action) if action.startswith("go[") or self._done else None
        return result or StepResult(Observation("go[...] only", forms=self.forms), 0.0, False, False, valid=False)


class GrammarCorridor(TextCorridor):
    """Takes any text, and understands none that a checker could guess."""

    def step(self, action: str) -> StepResult:
        if action == "abracadabra" or self._done:
            return super().step(action)
        return StepResult(Observation("not understood", forms=self.forms), 0.0, False, False, valid=False)


class UnpicklableTextCorridor(TextCorridor):
    def step(self, action: str) -> StepResult:
        return replace(super().step(action), info={"callback": lambda: None})


class MuteCorridor(TextCorridor):
    forms = ()


class UnpicklableCorridor(Corridor):
    def step(self, action: str) -> StepResult:
        return replace(super().step(action), info={"callback": lambda: None})


class AbsentCorridor(Corridor):
    def reset(self, task: Task) -> Observation:
        raise EnvUnavailable("the corridor's engine is not installed. Remedy: install it")


class NeedyCorridor(Corridor):
    def reset(self, task: Task) -> Observation:
        optional.load("package_of_a_team", "needy")
        return super().reset(task)


class SlipCorridor(Corridor):
    def reset(self, task: Task) -> Observation:
        import crl.evns  # noqa: F401

        return super().reset(task)


class LeakingCorridor(Corridor):
    @classmethod
    def task_set(cls, request: TaskRequest) -> list[Task]:
        return [request.task(seed, goal="walk") for seed in range(request.count)]


class RecitedCorridor(Corridor):
    """With scripted attempts: skill decides whether the player walks to the goal or away from it."""

    lost = 0  # attempts that crash before one goes through

    @classmethod
    def task_set(cls, request: TaskRequest) -> list[Task]:
        return [request.task(request.first_seed + i, goal="walk") for i in range(request.count)]

    @classmethod
    def scripted_attempt(cls, task: Task, attempt_seed: int, skill: float) -> tuple[str, ...]:
        goal = cls("grid").place_goal(task)
        right = (goal > 0) == (stream("attempt", attempt_seed).random() < skill)
        return ("right" if right else "left",) * abs(goal)

    def reset(self, task: Task) -> Observation:
        if RecitedCorridor.lost > 0:
            RecitedCorridor.lost -= 1
            raise ZeroDivisionError("planted")
        return super().reset(task)


class GoallessCorridor(Corridor):
    @classmethod
    def task_set(cls, request: TaskRequest) -> list[Task]:
        return [request.task(request.first_seed + i) for i in range(request.count)]


class Doors(Corridor):
    """A corridor whose doors have other names after each step, and which hears words on every second step."""

    def reset(self, task: Task) -> Observation:
        return self._renamed(super().reset(task))

    def step(self, action: str) -> StepResult:
        if action == "say[nothing]":  # of the free form, and not understood
            result = StepResult(Observation("silence"), 0.0, False, False, valid=False)
        elif self._steps % 2 and action.startswith("say["):
            result = super().step("right")
        else:
            result = super().step(self._names.get(action, action))
        return replace(result, observation=self._renamed(result.observation))

    def _renamed(self, seen: Observation) -> Observation:
        number = self._steps % 3
        self._names = {f"{side}{number}": side for side in ACTIONS}
        return replace(seen, actions=tuple(self._names), forms=("say[{}]",) if self._steps % 2 else ())


class TellingCorridor(Corridor):
    """One whose rule an oracle can tell."""

    @classmethod
    def oracle(cls, task: Task) -> str:
        return "walk right" if task.seed % 2 else "walk left"
