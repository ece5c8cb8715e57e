"""The local task set: small repositories with one planted bug each, so that the whole path runs without a download.

They are folders of `data/swe/repositories`, sound and with all of their tests, beside a `task.toml`; a task's repository is the
broken one: the sound files after the edits of `bug`. `data/swe/README.md` describes the files. The same folders give the same
instances everywhere; `python -m crl.envs.swe.local.repositories FILE.jsonl` writes them as SWE-bench rows. That the named tests
really fail and pass is verified by `tests/envs/test_swe_local.py`, by grading every repair and every wrong candidate.
"""

import ast
import json
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from crl.envs.shipped import shipped
from crl.envs.swe.instances import Candidate, Edit, Instance
from crl.envs.swe.local.diffs import commit_name, edited, patch
from crl.errors import DataError

REPOSITORIES = "swe/repositories"
TASK_FILE = "task.toml"
HIDDEN = "# Hidden from the agent from here on: the task's test patch appends it.\n"
SPLITS = ("train", "eval")  # a repository belongs to one
_EVAL_SCRIPT = """\
#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout -q {base} {test_path}
git apply -v - <<'EOF_114329324912'
{test_patch}EOF_114329324912
: '>>>>> Start Test Output'
timeout -s KILL {limit_s} python3 -m pytest -rA -p no:cacheprovider {test_path}
: '>>>>> End Test Output'
git checkout -q {base} {test_path}
"""
LOG_PARSER = "parse_log_pytest"
TESTS_LIMIT_S = 20  # of a run that takes a third of a second: a repair that never ends is told soon


def instances(split: str | None = None) -> Iterator[Instance]:
    """The instances of a split (all without one), easiest first. Raises DataError."""
    read_all = [read(file.parent) for file in shipped(REPOSITORIES).glob(f"*/{TASK_FILE}")]
    chosen = [instance for of, instance in read_all if split in (None, of)]
    yield from sorted(chosen, key=lambda instance: (instance.difficulty, instance.repo))


def read(folder: Path) -> tuple[str, Instance]:
    """One repository: its split and its instance. Raises DataError when a part is missing, or the repair is not the bug undone."""
    try:
        return _read(folder, tomllib.loads((folder / TASK_FILE).read_text(encoding="utf-8")))
    except (KeyError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{folder}: no task can be made of it ({error!r}). Remedy: see data/swe/README.md") from error


def _read(folder: Path, task: Mapping[str, Any]) -> tuple[str, Instance]:
    """The instance in the fields of SWE-bench and those of its own."""
    name, test_path = folder.name, f"tests/test_{folder.name}.py"
    sound = {str(file.relative_to(folder)): file.read_text(encoding="utf-8") for file in folder.rglob("*.py")}
    visible, mark, hidden = sound.pop(test_path).partition(HIDDEN)
    repair = _edits(task["repair"])
    candidates = (repair, *(_edits(wrong["edits"]) for wrong in task["wrong"]))
    broken = edited(sound, _edits(task["bug"]) if "bug" in task else _undoing(repair))
    if task["split"] not in SPLITS:
        raise DataError(f"{folder / TASK_FILE}: split = {task['split']!r}. Remedy: use one of {', '.join(SPLITS)}")
    if not mark:
        raise DataError(f"{folder / test_path}: no line {HIDDEN.strip()!r}. Remedy: put it before the hidden tests")
    if edited(broken, repair) != sound:
        raise DataError(f"{folder / TASK_FILE}: the repair does not undo the bug. Remedy: correct `bug` or `repair`")
    readme = f"# {name}\n\nRun the tests with `python3 -m pytest`.\n"
    files = {**broken, test_path: visible, "README.md": readme, ".gitignore": "__pycache__/\n"}
    graded = {**files, test_path: visible + hidden}
    base, test_patch = commit_name(files), patch(files, graded)
    return task["split"], Instance(
        id=f"local__{name}-1",
        repo=f"local/{name}",
        version="1",
        base_commit=base,
        image="",
        problem_statement=task["issue"],
        patch=patch(files, edited(files, repair)),
        test_patch=test_patch,
        fail_to_pass=tuple(f"{test_path}::{test}" for test in task["fails"]),
        pass_to_pass=tuple(f"{test_path}::{test}" for test in _passing(name, graded[test_path], task["fails"])),
        eval_script=_EVAL_SCRIPT.format(base=base, test_path=test_path, test_patch=test_patch, limit_s=TESTS_LIMIT_S),
        log_parser=LOG_PARSER,
        eval_type="pass_and_fail",
        difficulty=float(task["difficulty"]),
        files=files,
        candidates=candidates,
    )


def _passing(name: str, tests: str, fails: Iterable[str]) -> list[str]:
    """The test functions that the bug does not break; parametrised ones are named only when they fail."""
    broken = {test.partition("[")[0] for test in fails}
    functions = [node.name for node in ast.parse(tests).body if isinstance(node, ast.FunctionDef)]
    found = [function for function in functions if function.startswith("test_")]
    if missing := broken - set(found):
        raise DataError(f"{name}/{TASK_FILE}: no test named {', '.join(sorted(missing))}. Remedy: correct `fails`")
    return [test for test in found if test not in broken]


def _edits(tables: Iterable[Mapping[str, Any]]) -> Candidate:
    return tuple(Edit(table["path"], table["old"], table["new"]) for table in tables)


def _undoing(repair: Candidate) -> Candidate:
    return tuple(Edit(edit.path, edit.new, edit.old) for edit in reversed(repair))


def main() -> None:
    Path(sys.argv[1]).write_text("".join(json.dumps(instance.row(), sort_keys=True) + "\n" for instance in instances()))


if __name__ == "__main__":
    main()
