"""The `slots` style: a repair as multiple choice, for models with a vocabulary of a few hundred words.

    edit:b test:some a:fail b:some c:new d:new diff:unseen

`edit` is the candidate edit applied now, `test` the last test result of this very state of the repository, then what came of
each candidate so far (`new`, `tried` without a test, `fail`, `some`, `pass`), then the size of the change, if the agent looked.
Four candidate edits, one of them the repair, in an order that the task's seed shuffles. Every action is real: edits are
applied in the container, `test` runs the instance's tests there, `submit` is graded in a fresh one.
"""

from collections.abc import Callable

from crl.config.sandbox import SandboxConfig
from crl.envs.swe.grading import judge, run_tests
from crl.envs.swe.instances import Instance
from crl.envs.swe.local.diffs import edited, patch
from crl.envs.swe.workspace import Workspace
from crl.errors import ConfigError
from crl.seeding import stream

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


class Choice:
    """The state of a multiple-choice episode."""

    def __init__(self, instance: Instance, workspace: Workspace, config: SandboxConfig, seed: int) -> None:
        self._instance, self._workspace, self._config = instance, workspace, config
        order = stream("swe", "candidates", seed).permutation(len(LETTERS))
        self._patches = {
            letter: patch(instance.files, edited(instance.files, instance.candidates[int(index)]))
            for letter, index in zip(LETTERS, order, strict=True)
        }
        self._applied: str | None = None
        self._result, self._size = "unknown", "unseen"
        self._marks = dict.fromkeys(LETTERS, "new")

    @property
    def actions(self) -> tuple[str, ...]:
        """An edit can be applied to the base only; undo needs one."""
        return (*EDITS, "test", "look", "submit") if self._applied is None else ("undo", "test", "look", "submit")

    def sentence(self) -> str:
        marks = " ".join(f"{letter}:{mark}" for letter, mark in self._marks.items())
        return f"edit:{self._applied or 'none'} test:{self._result} {marks} diff:{self._size}"

    def act(self, action: str) -> None:
        """Play one of `actions` but `submit`."""
        macros: dict[str, Callable[[], None]] = {"undo": self._undo, "test": self._test, "look": self._look}
        if action in macros:
            macros[action]()
        else:
            self._edit(action.removeprefix("edit_"))

    def _edit(self, letter: str) -> None:
        self._workspace.apply(self._patches[letter])
        self._applied = letter
        self._result, self._size = "unknown", "unseen"
        if self._marks[letter] == "new":
            self._marks[letter] = "tried"

    def _undo(self) -> None:
        self._workspace.restore()
        self._applied = None
        self._result, self._size = "unknown", "unseen"

    def _test(self) -> None:
        """The eval script itself, which puts the tests in, runs them and takes them out again."""
        log = run_tests(self._workspace.sandbox, self._instance, self._config)
        grade = judge(self._instance, "in place", log)
        self._result = "pass" if grade.resolved else "some" if grade.score > 0 else "fail"
        if self._applied is not None:
            self._marks[self._applied] = self._result

    def _look(self) -> None:
        output = self._workspace.bash("git diff --numstat").output
        lines = sum(int(word) for line in output.splitlines() for word in line.split()[:2] if word.isdigit())
        self._size = "none" if not lines else "few" if lines <= _FEW_LINES else "many"


def demand_candidates(instance: Instance) -> None:
    """Raises ConfigError for an instance that is no multiple choice."""
    if len(instance.candidates) != len(LETTERS):
        raise ConfigError(
            f"envs.observation = 'slots': {instance.id} has {len(instance.candidates)} candidate edits; only the local set has "
            f"{len(LETTERS)}. Remedy: play SWE-bench instances with envs.observation: grid"
        )
