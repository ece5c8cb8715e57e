"""What a task on a local repository is made of. Its repository is the broken one; all edits lead away from there."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement: `old` occurs exactly once in the broken file."""

    path: str
    old: str
    new: str


Candidate = tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """One repository with one planted bug."""

    name: str  # of the repository and of its test file, tests/test_<name>.py
    split: str  # "train" | "eval": repositories are never shared
    difficulty: int  # 1: one plain hunk ... 4: several hunks in several files, or far from the symptom
    issue: str  # first line: the title; written as a user would report it
    files: Mapping[str, str]  # the broken repository, without its tests
    tests: str  # the test file as the agent finds it: passes before and after the repair
    hidden: str  # what the test patch appends to it
    fails: tuple[str, ...]  # names of the hidden tests that fail before the repair: FAIL_TO_PASS
    candidates: tuple[Candidate, Candidate, Candidate, Candidate]  # the repair first, then plausible wrong ones

    @property
    def test_path(self) -> str:
        return f"tests/test_{self.name}.py"
