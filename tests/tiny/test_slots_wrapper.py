"""What every slots wrapper promises, whatever it wraps."""

import subprocess
import sys

import pytest

from crl.envs.contract import Observation, StepResult, TextEnv
from crl.envs.errors import EnvCrash, EnvError
from crl.tiny.slots.wrapper import SlotsEnv
from crl.types import Outcome, Task
from tests.envs.toy_envs import Corridor

TASK = Task("t", "t", "corridor", "", 2, 9)  # an even seed: the goal lies on the left


class Holding(Corridor):
    """A corridor that holds something for its episode, and counts the steps that reach it."""

    def __init__(self) -> None:
        super().__init__("grid")
        self.held, self.stepped = False, 0

    def reset(self, task: Task) -> Observation:
        self.held = True
        return super().reset(task)

    def step(self, action: str) -> StepResult:
        self.stepped += 1
        return super().step(action)

    def leave(self) -> None:
        self.held = False


class Leftward(SlotsEnv[Holding]):
    """One word and one action."""

    def begin(self, task: Task, shown: Observation) -> None:
        self.goal = "go there"
        self.manual_seen = shown.manual

    def sentence(self) -> str:
        return f"steps:{self.env.stepped}"

    def actions(self) -> tuple[str, ...]:
        return ("go",)

    def act(self, action: str) -> StepResult:
        return self.env.step("left")


@pytest.fixture
def env() -> Leftward:
    return Leftward(Holding())


def test_the_sentence_goal_and_actions_are_the_wrappers_and_the_manual_the_wrapped_ones(env):
    assert isinstance(env, TextEnv)
    assert env.reset(TASK) == Observation("steps:0", "go there", ("go",), env.manual_seen)


def test_an_action_of_the_wrapped_environment_is_unknown_and_does_not_reach_it(env):
    env.reset(TASK)
    refused = env.step("left")
    assert (refused.valid, refused.observation.text, env.env.stepped) == (False, "steps:0", 0)


def test_the_end_its_reward_and_its_outcome_are_the_wrapped_ones(env):
    env.reset(TASK)
    while not (result := env.step("go")).done:
        assert result.observation.text == f"steps:{env.env.stepped}"
    assert (result.reward, result.outcome, result.observation.text) == (1.0, Outcome.SUCCESS, "success")
    with pytest.raises(EnvError, match="without a running episode"):
        env.step("go")


def test_an_instance_that_cannot_be_built_leaves_no_episode_behind(env):
    env.reset(TASK)
    with pytest.raises(EnvError, match="cannot be built"):
        env.reset(Task("t", "t", "corridor", "broken", 2, 9))
    with pytest.raises(EnvError, match="without a running episode"):
        env.step("go")


def test_after_a_crash_of_the_wrapped_environment_no_episode_is_running(env):
    env.reset(TASK)
    env.env.step = _crash
    with pytest.raises(EnvCrash, match="the engine died"):
        env.step("go")
    with pytest.raises(EnvError, match="without a running episode"):
        env.step("go")


def _crash(action: str) -> StepResult:
    raise EnvCrash("the engine died")


def test_giving_an_episode_up_frees_what_the_wrapped_environment_holds(env):
    env.reset(TASK)
    env.leave()
    assert not env.env.held
    with pytest.raises(EnvError, match="without a running episode"):
        env.step("go")


def test_an_environment_in_full_text_loads_nothing_of_the_tiny_models():
    code = (
        "import sys; from crl.envs.registry import make_env; make_env('sokoban', 'grid'); "
        "print([name for name in sys.modules if name.startswith('crl.tiny')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
