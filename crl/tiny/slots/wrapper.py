"""The `slots` style as a wrapper, gymnasium's way: an environment that holds another, reads for the model and acts for it.

A model with a vocabulary of a few hundred words gets one sentence of fixed layout and a dozen one-word actions. Each
family's wrapper says what the sentence holds, from what the wrapped environment has shown so far, and what an action
does there. The rules, the rewards and the end of an episode stay the wrapped environment's.
"""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Generic, TypeVar

from crl.envs.contract import Observation, StepResult, TextEnv
from crl.envs.errors import not_running
from crl.types import Task

Wrapped = TypeVar("Wrapped", bound=TextEnv)


class SlotsEnv(ABC, Generic[Wrapped]):
    """A `TextEnv` around `env`; subclasses fill in one family's sentence and actions."""

    goal: str  # of the running episode, in words of the vocabulary

    def __init__(self, env: Wrapped) -> None:
        self.env = env
        self._running = False

    @abstractmethod
    def begin(self, task: Task, shown: Observation) -> None:
        """Look at the instance that `env` has just been reset to, and at what it has `shown`; set `goal`."""

    @abstractmethod
    def sentence(self) -> str:
        """What the agent knows now."""

    def actions(self) -> tuple[str, ...]:
        """The names that `act` can carry out now: those that `env` offered first, always, unless a subclass says otherwise."""
        return self._offered

    def act(self, action: str) -> StepResult:
        """Carry out one of `actions` on `env`; of the result, the observation's text and actions are not used."""
        return self.env.step(action)

    def reset(self, task: Task) -> Observation:
        self._running = False  # an instance that cannot be built leaves no episode behind
        shown = self.env.reset(task)
        self._offered = shown.actions
        self.begin(task, shown)
        self._running = True
        return Observation(self.sentence(), self.goal, self.actions(), shown.manual)

    def step(self, action: str) -> StepResult:
        """Play one action by name; the text of an episode's end is its outcome.

        A name that means nothing now gives the same sentence again: the feedback is left to `valid` and the prompt.
        """
        if not self._running:
            raise not_running(action)
        if action not in self.actions():
            return StepResult.refused(self._observation(self.sentence()))
        self._running = False  # should `env` fail now, its episode is over
        result = self.act(action)
        self._running = not result.done
        text = result.outcome.value if result.terminated else self.sentence()
        return replace(result, observation=self._observation(text))

    def leave(self) -> None:
        """Give the episode up: what `env` holds for it is freed now."""
        self._running = False
        if hasattr(self.env, "leave"):
            self.env.leave()

    def close(self) -> None:
        self._running = False
        self.env.close()

    def _observation(self, text: str) -> Observation:
        return Observation(text, actions=self.actions())
