"""Reads the local repositories, folders of `data/swe/repositories`: sound, with all of their tests, beside a `task.toml`.

A task's repository is broken: the sound files after the edits of `bug`. `data/swe/README.md` describes the files.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from crl.envs.shipped import shipped
from crl.envs.swe.local.diffs import edited
from crl.envs.swe.local.recipe import Candidate, Edit, Recipe
from crl.errors import DataError

REPOSITORIES = "swe/repositories"
TASK_FILE = "task.toml"
HIDDEN = "# Hidden from the agent from here on: the task's test patch appends it.\n"


def recipes() -> Iterator[Recipe]:
    """Every repository that is shipped, by name. Raises DataError."""
    return (read(file.parent) for file in sorted(shipped(REPOSITORIES).glob(f"*/{TASK_FILE}")))


def read(folder: Path) -> Recipe:
    """One repository. Raises DataError when a field is missing, or when bug and repair do not undo each other."""
    test_path = f"tests/test_{folder.name}.py"
    sources = {str(file.relative_to(folder)): file.read_text(encoding="utf-8") for file in folder.rglob("*.py")}
    try:
        task = tomllib.loads((folder / TASK_FILE).read_text(encoding="utf-8"))
        visible, mark, hidden = sources.pop(test_path).partition(HIDDEN)
        repair = _edits(task["repair"])
        bug = _edits(task["bug"]) if "bug" in task else _undoing(repair)
        recipe = Recipe(
            name=folder.name,
            split=task["split"],
            difficulty=task["difficulty"],
            issue=task["issue"],
            files=edited(sources, bug),
            tests=visible,
            hidden=hidden,
            fails=tuple(task["fails"]),
            candidates=(repair, *(_edits(wrong["edits"]) for wrong in task["wrong"])),
        )
    except (KeyError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{folder}: no task can be made of it ({error!r}). Remedy: see data/swe/README.md") from error
    if not mark:
        raise DataError(f"{folder / test_path}: no line {HIDDEN.strip()!r}. Remedy: put it before the hidden tests")
    if edited(recipe.files, repair) != sources:
        raise DataError(f"{folder / TASK_FILE}: the repair does not undo the bug. Remedy: correct `bug` or `repair`")
    return recipe


def _edits(tables: Iterable[Mapping[str, Any]]) -> Candidate:
    return tuple(Edit(table["path"], table["old"], table["new"]) for table in tables)


def _undoing(repair: Candidate) -> Candidate:
    return tuple(Edit(edit.path, edit.new, edit.old) for edit in reversed(repair))
