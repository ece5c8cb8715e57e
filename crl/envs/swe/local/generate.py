"""The local task set from its table: `python -m crl.envs.swe.local.generate FILE.jsonl` writes it as SWE-bench rows.

A pure function of `data/swe/repositories`: the same bytes on every machine. That the named tests really fail and
pass is verified by `tests/envs/test_swe_local.py`, by grading every repair and every wrong candidate.
"""

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from crl.envs.swe.instances import Instance
from crl.envs.swe.local.diffs import commit_name, edited, patch
from crl.envs.swe.local.recipe import Recipe
from crl.envs.swe.local.repositories import recipes
from crl.errors import DataError

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
    """The instances of a split (all without one), easiest first."""
    chosen = [recipe for recipe in recipes() if split in (None, recipe.split)]
    yield from map(build, sorted(chosen, key=lambda recipe: (recipe.difficulty, recipe.name)))


def build(recipe: Recipe) -> Instance:
    """One instance, in the fields of SWE-bench and those of its own."""
    files = {
        **recipe.files,
        recipe.test_path: recipe.tests,
        "README.md": f"# {recipe.name}\n\nRun the tests with `python3 -m pytest`.\n",
        ".gitignore": "__pycache__/\n",
    }
    hidden = {**files, recipe.test_path: recipe.tests + recipe.hidden}
    test_patch, base = patch(files, hidden), commit_name(files)
    return Instance(
        id=f"local__{recipe.name}-1",
        repo=f"local/{recipe.name}",
        version="1",
        base_commit=base,
        image="",
        problem_statement=recipe.issue,
        patch=patch(files, edited(files, recipe.candidates[0])),
        test_patch=test_patch,
        fail_to_pass=tuple(f"{recipe.test_path}::{name}" for name in recipe.fails),
        pass_to_pass=tuple(f"{recipe.test_path}::{name}" for name in _passing(recipe)),
        eval_script=_EVAL_SCRIPT.format(
            base=base, test_path=recipe.test_path, test_patch=test_patch, limit_s=TESTS_LIMIT_S
        ),
        log_parser=LOG_PARSER,
        eval_type="pass_and_fail",
        difficulty=float(recipe.difficulty),
        files=files,
        candidates=recipe.candidates,
    )


def _passing(recipe: Recipe) -> tuple[str, ...]:
    """The test functions of both parts that the bug does not break; parametrised ones are named only when they fail."""
    broken = {name.partition("[")[0] for name in recipe.fails}
    tests = [
        node.name
        for node in ast.parse(recipe.tests + recipe.hidden).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    if missing := broken - set(tests):
        raise DataError(f"recipe {recipe.name}: no test named {', '.join(sorted(missing))}. Remedy: correct `fails`")
    return tuple(name for name in tests if name not in broken)


def main() -> None:
    Path(sys.argv[1]).write_text("".join(json.dumps(instance.row(), sort_keys=True) + "\n" for instance in instances()))


if __name__ == "__main__":
    main()
