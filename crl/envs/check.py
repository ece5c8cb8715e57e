"""The environment checker: does a family keep the contract that the episode loop relies on?

    findings = check_env(lambda: make_env("minihack", "grid"), tasks)

Each rule plays its own episodes with fixed pseudo-random actions and gives one finding. Users run it
on their environments with `crl envs check LEVEL --family module:Class`.
"""

import pickle
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from crl.envs.contract import Observation, StepResult, TextEnv
from crl.envs.errors import EnvError
from crl.seeding import stream
from crl.types import Outcome, Task

Make = Callable[[], TextEnv]
_UNKNOWN_ACTION = "no such action \N{SNOWMAN}"
_WORDS = ("help", "0", "a b")  # what forms are filled with
_SHORT_LIMIT = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on one rule. `explanation` tells what was seen, `remedy` what to change ("" when ok)."""

    rule: str
    ok: bool
    explanation: str
    remedy: str = ""


class Violation(Exception):
    """Raised by a rule; the message tells what was seen."""


def check_env(make: Make, tasks: Sequence[Task]) -> list[Finding]:
    """Check every rule on the tasks: at least two, of one level, with different seeds."""
    if len({task.seed for task in tasks}) < 2 or len({task.level for task in tasks}) != 1:
        raise EnvError(f"check_env got {len(tasks)} tasks. Remedy: pass tasks of one level with two or more seeds")
    return [_find(rule, promise, remedy, make, tasks) for rule, promise, remedy in RULES]


def _find(rule: Callable, promise: str, remedy: str, make: Make, tasks: Sequence[Task]) -> Finding:
    name = rule.__name__
    try:
        rule(make, tasks)
    except Violation as violation:
        return Finding(name, False, str(violation), remedy)
    except Exception as error:  # noqa: BLE001  foreign code under test: whatever it raises is the finding
        return Finding(name, False, f"raised {type(error).__name__}: {error}", remedy)
    return Finding(name, True, promise)


Episode = tuple[Observation, list[StepResult]]


def play(env: TextEnv, task: Task, stray: bool = False) -> Episode:
    """One episode of pseudo-random actions, the same sequence in every call; `stray` adds unknown actions, whose
    results are left out.

    Where only forms are offered they are filled with words of ours. An environment that understands none of them
    (its texts follow rules, as tool calls do) is given up after `task.max_steps` refusals, before its end.
    """
    actions_rng = stream("check")
    first = observation = env.reset(task)
    results: list[StepResult] = []
    while not (results and results[-1].done):
        if len(results) > task.max_steps:
            if not observation.actions and not any(result.valid for result in results):
                break
            raise Violation(f"{task.id}: still running after {len(results)} steps; max_steps = {task.max_steps}")
        if stray:
            refused = env.step(_UNKNOWN_ACTION)
            if refused.valid or refused.done or refused.reward:
                raise Violation(f"{task.id}: an unknown action gave {_brief(refused)}")
        results.append(env.step(_an_action(observation, actions_rng)))
        observation = results[-1].observation
    return first, results


def _an_action(observation: Observation, rng: np.random.Generator) -> str:
    """One of the actions; where there are none, a form filled with a word."""
    offered = observation.actions or [form.replace("{}", word) for form in observation.forms for word in _WORDS]
    if not offered:
        raise Violation(f"neither actions nor forms are offered at {observation.text[:40]!r}")
    return offered[int(rng.integers(len(offered)))]


# Rules: (make, tasks) -> None, or Violation


def deterministic(make: Make, tasks: Sequence[Task]) -> None:
    with closing(make()) as one, closing(make()) as other:
        for task in tasks:
            _same(play(one, task), play(other, task), f"{task.id}: two instances differ in")


def seeds_matter(make: Make, tasks: Sequence[Task]) -> None:
    with closing(make()) as env:
        episodes = [_texts(play(env, task)) for task in tasks]
    if all(episode == episodes[0] for episode in episodes):
        raise Violation(f"{len(tasks)} different seeds gave one and the same episode: nothing is held out")


def resettable(make: Make, tasks: Sequence[Task]) -> None:
    with closing(make()) as env:
        before = play(env, tasks[0])
        env.reset(tasks[1])  # and left in the middle
        _same(before, play(env, tasks[0]), f"{tasks[0].id}: after other episodes the same task differs in")


def well_typed(make: Make, tasks: Sequence[Task]) -> None:
    with closing(make()) as env:
        first, results = play(env, tasks[0])
    if not (first.goal and isinstance(first.goal, str) and isinstance(first.manual, str)):
        raise Violation(f"reset gave goal = {first.goal!r}, manual = {first.manual!r}")
    for observation in (first, *(result.observation for result in results)):
        if not (isinstance(observation.text, str) and observation.text):
            raise Violation(f"observation text is {observation.text!r}")
        if not (isinstance(observation.actions, tuple) and all(isinstance(name, str) for name in observation.actions)):
            raise Violation(f"actions are {observation.actions!r}")
        if not (isinstance(observation.forms, tuple) and all("{}" in form for form in observation.forms)):
            raise Violation(f"forms are {observation.forms!r}, not texts with {{}} in the place of what is free")


def actions_accepted(make: Make, tasks: Sequence[Task]) -> None:
    with closing(make()) as env:
        for name in env.reset(tasks[0]).actions:
            env.reset(tasks[0])
            if not env.step(name).valid:
                raise Violation(f"{name!r} is among the actions but was refused")


def unknown_action_moves_nothing(make: Make, tasks: Sequence[Task]) -> None:
    with closing(make()) as env:
        for task in tasks:
            if "{}" in env.reset(task).forms and env.step(_UNKNOWN_ACTION).valid:
                continue  # any text is an action here
            _same(play(env, task), play(env, task, stray=True), f"{task.id}: after unknown actions the game differs in")


def outcome_tells_the_end(make: Make, tasks: Sequence[Task]) -> None:
    for task, result in _all_results(make, tasks):
        if result.done != (result.outcome is not None) or (result.terminated and result.truncated):
            raise Violation(f"{task.id}: {_brief(result)}")
        if result.truncated and result.outcome is Outcome.SUCCESS:
            raise Violation(f"{task.id}: a success that is truncated rather than terminated")


def reward_is_the_outcome(make: Make, tasks: Sequence[Task]) -> None:
    for task, result in _all_results(make, tasks):
        allowed = (1.0,) if result.outcome is Outcome.SUCCESS else (0.0, -1.0) if result.done else (0.0,)
        if result.reward not in allowed:
            raise Violation(f"{task.id}: {_brief(result)}")


def step_limit_holds(make: Make, tasks: Sequence[Task]) -> None:
    short = [replace(task, max_steps=_SHORT_LIMIT) for task in tasks]
    for task, result in _all_results(make, short):
        if result.truncated and result.outcome is not Outcome.TIMEOUT:
            raise Violation(f"{task.id}: at the step limit {_brief(result)}")


def step_after_end_refused(make: Make, tasks: Sequence[Task]) -> None:
    with closing(make()) as env:
        first, results = play(env, tasks[0])
        if not results[-1].done:
            return  # it was given up before its end
        try:
            result = env.step(_an_action(first, stream("check")))
        except EnvError:
            return
    raise Violation(f"a step after the end gave {_brief(result)}")


def picklable(make: Make, tasks: Sequence[Task]) -> None:
    with closing(make()) as env:
        episode = play(env, tasks[0])
    if pickle.loads(pickle.dumps(episode)) != episode:
        raise Violation("an episode's values differ after a round trip through pickle")


RULES = (
    (deterministic, "same task, same actions, same episode", "seed every random source from task.seed in reset"),
    (
        seeds_matter,
        "different seeds give different episodes",
        "build the instance from task.seed, or take another level",
    ),
    (resettable, "episodes leave no trace in the next", "reset all state in reset, also in mid-episode"),
    (
        well_typed,
        "goal, text, actions and forms are as typed",
        "return non-empty texts, and tuples of actions and forms",
    ),
    (actions_accepted, "every offered action is accepted", "offer only names that step understands now"),
    (unknown_action_moves_nothing, "an unknown action is refused with feedback", "return valid=False before acting"),
    (outcome_tells_the_end, "an outcome exactly at the end", "set outcome when and only when done; success terminates"),
    (reward_is_the_outcome, "1 for success, else 0 (or -1 at a failed end)", "put graded scores into info, not reward"),
    (step_limit_holds, "the episode ends by task.max_steps", "truncate with Outcome.TIMEOUT at task.max_steps"),
    (step_after_end_refused, "a step after the end raises EnvError", "raise EnvError until the next reset"),
    (picklable, "values travel between processes unchanged", "keep plain values in observations and info"),
)


def _all_results(make: Make, tasks: Sequence[Task]) -> list[tuple[Task, StepResult]]:
    with closing(make()) as env:
        return [(task, result) for task in tasks for result in play(env, task)[1]]


def _same(one: Episode, other: Episode, what: str) -> None:
    if one[0] != other[0]:
        raise Violation(f"{what} the first observation")
    for step, (left, right) in enumerate(zip(one[1], other[1], strict=False), start=1):
        if left != right:
            raise Violation(f"{what} step {step}: {_brief(left)} and {_brief(right)}")
    if len(one[1]) != len(other[1]):
        raise Violation(f"{what} length: {len(one[1])} and {len(other[1])} steps")


def _texts(episode: Episode) -> list[str]:
    return [episode[0].text, *(result.observation.text for result in episode[1])]


def _brief(result: StepResult) -> str:
    return (
        f"(reward {result.reward}, terminated {result.terminated}, truncated {result.truncated}, valid {result.valid}, "
        f"outcome {result.outcome}, text {result.observation.text[:40]!r})"
    )
