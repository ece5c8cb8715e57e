"""The `slots` style: a repair as multiple choice, for models with a vocabulary of a few hundred words.

    edit:b test:some a:fail b:some c:new d:new diff:unseen

`edit` is the candidate edit applied now, `test` the last test result of this very state of the repository, then what came of
each candidate so far (`new`, `tried` without a test, `fail`, `some`, `pass`), then the size of the change, if the agent looked.
Four candidate edits, one of them the repair, in an order that the task's seed shuffles. Every action is real: edits are
applied in the container, `test` runs the instance's tests there, `submit` is graded in a fresh one.
"""

from dataclasses import replace

from crl.envs.contract import Observation, StepResult
from crl.envs.swe.env import SweEnv
from crl.envs.swe.grading import judge, run_tests
from crl.envs.swe.instances import Instance, from_payload
from crl.envs.swe.local.diffs import edited, patch
from crl.envs.swe.workspace import Workspace
from crl.errors import ConfigError
from crl.seeding import stream
from crl.tiny.slots.wrapper import SlotsEnv
from crl.types import Task

GOAL = "find the edit that makes all tests pass"
LETTERS = ("a", "b", "c", "d")
EDITS = tuple(f"edit_{letter}" for letter in LETTERS)
ACTIONS = (*EDITS, "undo", "test", "look", "submit")
RESULTS = ("unknown", "fail", "some", "pass")
MARKS = ("new", "tried", "fail", "some", "pass")
SIZES = ("unseen", "none", "few", "many")
_FEW_LINES = 2  # a change of one line: one removed, one added


def words() -> tuple[str, ...]:
    """Every word that this style can produce."""
    return (
        *(f"edit:{letter}" for letter in ("none", *LETTERS)),
        *(f"test:{result}" for result in RESULTS),
        *(f"{letter}:{mark}" for letter in LETTERS for mark in MARKS),
        *(f"diff:{size}" for size in SIZES),
        "success", "death", "timeout",
    )  # fmt: skip


class SweSlots(SlotsEnv[SweEnv]):
    """The state of a multiple-choice episode."""

    goal = GOAL

    def reset(self, task: Task) -> Observation:
        self.leave()  # an instance that is refused leaves no episode, and no container, behind
        if task.payload:
            _demand_candidates(from_payload(task.payload))
        return replace(super().reset(task), manual="")  # the tools of the wrapped environment are not the model's

    def begin(self, task: Task, shown: Observation) -> None:
        files, candidates = self.env.instance.files, self.env.instance.candidates
        order = stream("swe", "candidates", task.seed).permutation(len(LETTERS))
        self._patches = {
            letter: patch(files, edited(files, candidates[int(index)]))
            for letter, index in zip(LETTERS, order, strict=True)
        }
        self._applied: str | None = None
        self._result, self._size = "unknown", "unseen"
        self._marks = dict.fromkeys(LETTERS, "new")

    def sentence(self) -> str:
        marks = " ".join(f"{letter}:{mark}" for letter, mark in self._marks.items())
        return f"edit:{self._applied or 'none'} test:{self._result} {marks} diff:{self._size}"

    def actions(self) -> tuple[str, ...]:
        """An edit can be applied to the base only; undo needs one."""
        return (*EDITS, "test", "look", "submit") if self._applied is None else ("undo", "test", "look", "submit")

    def act(self, action: str) -> StepResult:
        if action == "submit":
            return self.env.submit()
        return self.env.work(lambda workspace: self._do(action, workspace))

    def _do(self, action: str, workspace: Workspace) -> str:
        match action:
            case "undo":
                workspace.restore()
                self._apply(None)
            case "test":
                self._test(workspace)
            case "look":
                output = workspace.bash("git diff --numstat").output
                lines = sum(int(word) for line in output.splitlines() for word in line.split()[:2] if word.isdigit())
                self._size = "none" if not lines else "few" if lines <= _FEW_LINES else "many"
            case _:
                letter = action.removeprefix("edit_")
                workspace.apply(self._patches[letter])
                self._apply(letter)
                if self._marks[letter] == "new":
                    self._marks[letter] = "tried"
        return self.sentence()

    def _apply(self, letter: str | None) -> None:
        """Note which edit is applied now; nothing is known of that state yet."""
        self._applied = letter
        self._result, self._size = "unknown", "unseen"

    def _test(self, workspace: Workspace) -> None:
        """The eval script itself, which puts the tests in, runs them and takes them out again."""
        log = run_tests(workspace.sandbox, self.env.instance, self.env.config)
        grade = judge(self.env.instance, "in place", log)
        self._result = "pass" if grade.resolved else "some" if grade.score > 0 else "fail"
        if self._applied is not None:
            self._marks[self._applied] = self._result


def _demand_candidates(instance: Instance) -> None:
    """Raises ConfigError for an instance that is no multiple choice."""
    if len(instance.candidates) != len(LETTERS):
        raise ConfigError(
            f"envs.observation = 'slots': {instance.id} has {len(instance.candidates)} candidate edits; only the local set has "
            f"{len(LETTERS)}. Remedy: play SWE-bench instances with envs.observation: grid"
        )
