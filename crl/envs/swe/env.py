"""SWE-Bench as a text environment: a repository with a reported problem, tools in a container, the harness as the judge."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crl.config.sandbox import SandboxConfig
from crl.envs.contract import Observation, StepResult
from crl.envs.errors import EnvCrash, EnvError, EnvUnavailable, not_running
from crl.envs.swe.grading import Grade, grade
from crl.envs.swe.harness import demand_harness
from crl.envs.swe.instances import Instance, from_payload
from crl.envs.swe.manual import MANUAL, bounded, shown
from crl.envs.swe.scripted import scripted_attempt, solution
from crl.envs.swe.task_sets import LOCAL, tasks
from crl.envs.swe.tools import Malformed, parse
from crl.envs.swe.workspace import Unreadable, Workspace
from crl.sandbox import CommandResult, SandboxBroken, SandboxError, SandboxUnavailable
from crl.types import Outcome, Task

_BROKEN = Grade(False, 0.0, "Your commands made the container unusable.")


class SweEnv:
    """A `TextEnv`: bash, an editor and submit as tool calls.

    For wrappers: the running episode's `instance` and `workspace`, its containers' `config`, `work` and `submit`.
    """

    levels = (LOCAL,)
    forms = ("{}",)
    task_set = staticmethod(tasks)
    solution = staticmethod(solution)
    scripted_attempt = staticmethod(scripted_attempt)
    instance: Instance

    def __init__(self, sandbox: SandboxConfig) -> None:
        self.config = sandbox
        self._task: Task | None = None  # None: no episode is running
        self.workspace: Workspace | None = None

    def reset(self, task: Task) -> Observation:
        self.leave()
        if not task.payload:
            raise EnvError(f"task {task.id!r} has no payload. Remedy: take tasks from SweEnv.task_set")
        demand_harness()
        self.instance = from_payload(task.payload)
        with self._typed():
            self.workspace = Workspace(self.config, self.instance)
        self._task, self._steps = task, 0
        return self._observation(
            bounded(f"Issue in the repository {self.instance.repo}:\n\n{self.instance.problem_statement.strip()}"),
            goal=f"Repair the repository {self.instance.repo}: {self.instance.title}",
            manual=MANUAL.format(steps=task.max_steps),
        )

    def step(self, action: str) -> StepResult:
        if self._task is None:
            raise not_running(action)
        call = parse(action)
        if isinstance(call, Malformed):
            return StepResult.refused(self._observation(f"Not understood; nothing was done. {call.reason}"))
        if call.tool == "submit":
            return self.submit()
        if call.tool == "bash":
            return self.work(lambda workspace: self._shown(workspace.bash(call.arguments["command"])))
        return self.work(lambda workspace: self._shown(workspace.edit(call.arguments)))

    def work(self, do: Callable[[Workspace], str]) -> StepResult:
        """One step in the running episode's container; `do` gives the text to show."""
        with self._typed():
            try:
                text = do(self.workspace)
            except SandboxBroken:
                return self._end(_BROKEN)
        self._steps += 1
        result = StepResult.after(self._observation(text), None, late=self._steps >= self._task.max_steps)
        if result.done:
            self.leave()
        return result

    def submit(self) -> StepResult:
        """End the running episode: what has changed is graded in a fresh container."""
        with self._typed():
            try:
                verdict = self._grade()
            except SandboxBroken:
                verdict = _BROKEN
        return self._end(verdict)

    def _grade(self) -> Grade:
        try:
            patch = self.workspace.diff()
        except (Unreadable, UnicodeDecodeError) as error:
            return Grade(False, 0.0, f"The changes cannot be read: {error}.", refused=True)
        self.workspace.close()  # before the grading container, which takes its place
        return grade(self.instance, patch, self.config)

    def _shown(self, run: CommandResult) -> str:
        return shown(run, self.config.command_timeout_s)

    def _end(self, verdict: Grade) -> StepResult:
        self.leave()
        return StepResult.after(
            self._observation(f"{verdict.reason}\n{'Resolved.' if verdict.resolved else 'Not resolved.'}"),
            Outcome.SUCCESS if verdict.resolved else Outcome.DEATH,
            score=verdict.score,
            reason=verdict.reason,
            refused=verdict.refused,
        )

    def _observation(self, text: str, goal: str = "", manual: str = "") -> Observation:
        return Observation(text, goal, ("submit",), manual, self.forms)

    @contextmanager
    def _typed(self) -> Iterator[None]:
        """What the sandbox raises, as the environment's own kinds of failure; the episode is over then."""
        try:
            yield
        except SandboxUnavailable as error:
            self.leave()
            raise EnvUnavailable(str(error)) from error
        except SandboxError as error:
            self.leave()
            raise EnvCrash(str(error)) from error

    def leave(self) -> None:
        """End the episode; its container is removed now."""
        self._task = None
        workspace, self.workspace = self.workspace, None
        if workspace is not None:
            workspace.close()

    def close(self) -> None:
        self.leave()
