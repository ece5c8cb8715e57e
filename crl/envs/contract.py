"""The text-environment contract: what the one episode loop needs, and all it may rely on.

A text environment is deterministic in its task: the same task and the same actions give the same
observations, rewards and ending, in any process. `crl envs check` verifies that and the rest.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from crl.types import Outcome, Task


@dataclass(frozen=True, slots=True)
class Observation:
    """What the actor reads. `text` is this turn's message; the rest is constant over an episode."""

    text: str
    goal: str = ""  # one sentence; set by reset
    actions: tuple[str, ...] = ()  # names that `step` accepts now
    manual: str = ""  # rules and legend for models that can read; set by reset
    forms: tuple[str, ...] = ()  # free-form actions that `step` accepts besides: "search[{}]"; "{}": by the manual

    def __reduce__(self) -> tuple:  # every step crosses a process: three times as fast as a dataclass's own way
        return Observation, (self.text, self.goal, self.actions, self.manual, self.forms)


@dataclass(frozen=True, slots=True)
class StepResult:
    """gymnasium's distinction holds: `terminated` by the task itself, `truncated` by a limit."""

    observation: Observation
    reward: float
    terminated: bool
    truncated: bool
    valid: bool = True  # False: the action was not understood; the world did not move
    outcome: Outcome | None = None  # set exactly when terminated or truncated
    info: dict[str, Any] = field(default_factory=dict)  # e.g. graded score; never needed for learning

    @classmethod
    def refused(cls, observation: Observation) -> "StepResult":
        """For an action that was not understood: nothing happened, no step was spent."""
        return cls(observation, 0.0, terminated=False, truncated=False, valid=False)

    @classmethod
    def after(cls, observation: Observation, outcome: Outcome | None, late: bool = False, **info: Any) -> "StepResult":
        """For a step that was spent: how the task itself ended, None where it did not; `late`: it was the last step.

        1 for success, else 0.
        """
        truncated = late and outcome is None
        ending = Outcome.TIMEOUT if truncated else outcome
        return cls(observation, float(outcome is Outcome.SUCCESS), outcome is not None, truncated, True, ending, info)

    def __reduce__(self) -> tuple:
        return StepResult, (
            self.observation, self.reward, self.terminated, self.truncated, self.valid, self.outcome, self.info,
        )  # fmt: skip

    @property
    def done(self) -> bool:
        return self.terminated or self.truncated


@runtime_checkable
class TextEnv(Protocol):
    """One environment that plays one episode at a time and can be reset to any task of its family."""

    def reset(self, task: Task) -> Observation:
        """Start the task's instance. Raises EnvError when the instance cannot be built."""
        ...

    def step(self, action: str) -> StepResult:
        """Play one action by name. An unknown name is not an error: `valid=False` with feedback."""
        ...

    def close(self) -> None: ...
