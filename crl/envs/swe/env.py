"""SWE-Bench as a text environment: a repository with a reported problem, tools in a container, the harness as the judge."""

from collections.abc import Iterator
from contextlib import contextmanager

from crl.config.sandbox import SandboxConfig
from crl.envs.contract import Observation, StepResult
from crl.envs.errors import EnvCrash, EnvError, EnvUnavailable
from crl.envs.family import Script, TaskRequest
from crl.envs.swe.grading import Grade, demand_harness, grade
from crl.envs.swe.instances import Instance, from_payload
from crl.envs.swe.manual import MANUAL, bounded, shown
from crl.envs.swe.tools import Call, Malformed, parse
from crl.envs.swe.workspace import Unreadable, Workspace
from crl.sandbox import SandboxBroken, SandboxError, SandboxUnavailable
from crl.tiny.slots import swe as slots
from crl.types import Outcome, Task


class SweEnv:
    """A `TextEnv`. "grid": bash, an editor and submit as tool calls; "slots": a choice between four edits (local set only)."""

    sandboxed = True
    levels = ("local",)

    def __init__(self, observation: str, config: SandboxConfig) -> None:
        self._tiny = observation == "slots"
        self._config = config
        self._task: Task | None = None  # None: no episode is running
        self._workspace: Workspace | None = None

    @classmethod
    def task_set(cls, request: TaskRequest) -> Iterator[Task]:
        from crl.envs.swe.task_sets import tasks

        return tasks(request)

    @classmethod
    def solution(cls, task: Task) -> tuple[str, ...]:
        from crl.envs.swe.scripted import solution

        return solution(task)

    @classmethod
    def script(cls, level: str) -> Script:
        from crl.envs.swe.scripted import script

        return script()

    @classmethod
    def scripted_attempt(cls, task: Task, attempt_seed: int, skill: float) -> tuple[str, ...]:
        """Actions of the pass@k stage's scripted policy, which is no model."""
        from crl.envs.swe.scripted import scripted_attempt

        return scripted_attempt(task, attempt_seed, skill)

    def reset(self, task: Task) -> Observation:
        self._drop()
        if not task.payload:
            raise EnvError(f"task {task.id!r} has no payload. Remedy: take tasks from SweEnv.task_set")
        demand_harness()
        self._instance: Instance = from_payload(task.payload)
        if self._tiny:
            slots.demand_candidates(self._instance)
        with self._typed():
            self._workspace = Workspace(self._config, self._instance, editor=not self._tiny)
        self._task, self._steps = task, 0
        if self._tiny:
            self._choice = slots.Choice(self._instance, self._workspace, self._config, task.seed)
            return Observation(self._choice.sentence(), slots.GOAL, self._choice.actions)
        return self._observation(
            bounded(f"Issue in the repository {self._instance.repo}:\n\n{self._instance.problem_statement.strip()}"),
            goal=f"Repair the repository {self._instance.repo}: {self._instance.title}",
            manual=MANUAL.format(steps=task.max_steps),
        )

    def step(self, action: str) -> StepResult:
        if self._task is None:
            raise EnvError(f"step({action[:80]!r}) without a running episode. Remedy: call reset(task) first")
        try:
            with self._typed():
                return self._play_choice(action) if self._tiny else self._play_call(parse(action))
        except SandboxBroken:
            return self._end(Grade(False, 0.0, "Your commands made the container unusable."))

    def leave(self) -> None:
        """Give the episode up: its container goes now, not at the next reset."""
        self._drop()

    def close(self) -> None:
        self._drop()

    def _play_call(self, call: Call | Malformed) -> StepResult:
        if isinstance(call, Malformed):
            text = f"Not understood; nothing was done. {call.reason}"
            return StepResult(self._observation(text), 0.0, terminated=False, truncated=False, valid=False)
        if call.tool == "submit":
            return self._submit()
        run = (
            self._workspace.bash(call.arguments["command"])
            if call.tool == "bash"
            else self._workspace.edit(call.arguments)
        )
        return self._go_on(self._observation(shown(run, self._config.command_timeout_s)))

    def _play_choice(self, action: str) -> StepResult:
        if action not in self._choice.actions:
            return StepResult(self._sentence(), 0.0, terminated=False, truncated=False, valid=False)
        if action == "submit":
            return self._submit()
        self._choice.act(action)
        return self._go_on(self._sentence())

    def _submit(self) -> StepResult:
        try:
            patch = self._workspace.diff()
        except (Unreadable, UnicodeDecodeError) as error:
            return self._end(Grade(False, 0.0, f"The changes cannot be read: {error}.", refused=True))
        self._workspace.close()  # before the grading container, which takes its place
        return self._end(grade(self._instance, patch, self._config))

    def _go_on(self, observation: Observation) -> StepResult:
        self._steps += 1
        truncated = self._steps >= self._task.max_steps
        if truncated:
            self._drop()
        outcome = Outcome.TIMEOUT if truncated else None
        return StepResult(observation, 0.0, terminated=False, truncated=truncated, outcome=outcome)

    def _end(self, verdict: Grade) -> StepResult:
        self._drop()
        outcome = Outcome.SUCCESS if verdict.resolved else Outcome.DEATH
        if self._tiny:
            observation = Observation(outcome.value, actions=self._choice.actions)
        else:
            observation = self._observation(f"{verdict.reason}\n{'Resolved.' if verdict.resolved else 'Not resolved.'}")
        return StepResult(
            observation,
            reward=float(verdict.resolved),
            terminated=True,
            truncated=False,
            outcome=outcome,
            info={"score": verdict.score, "reason": verdict.reason, "refused": verdict.refused},
        )

    def _observation(self, text: str, goal: str = "", manual: str = "") -> Observation:
        return Observation(text, goal, ("submit",), manual, ("{}",))

    def _sentence(self) -> Observation:
        return Observation(self._choice.sentence(), actions=self._choice.actions)

    @contextmanager
    def _typed(self) -> Iterator[None]:
        """What the sandbox raises, as the environment's own kinds of failure; the episode is over then."""
        try:
            yield
        except SandboxBroken:
            raise
        except SandboxUnavailable as error:
            self._drop()
            raise EnvUnavailable(str(error)) from error
        except SandboxError as error:
            self._drop()
            raise EnvCrash(str(error)) from error

    def _drop(self) -> None:
        """End the episode; its container is removed now."""
        self._task = None
        workspace, self._workspace = self._workspace, None
        if workspace is not None:
            workspace.close()
