#!/usr/bin/env bash
# swebench: a unittest test with a failed subtest counts as passed, and resolves its task, exactly when another test fails, too.
#
# Version:   swebench 5.0.2, pytest 9.2.0, Python 3.11
# Source:    swebench/harness/log_parsers/python.py, `parse_log_pytest`; swebench/harness/grading.py, `get_logs_eval`
# Guess:     pytest exits with 1 and names the test beside SUBFAILED, so the test has failed and the task is not resolved, whatever
#            else is in the log; a failure more can only make the verdict worse.
# Behaviour: pytest 9 writes two lines of a `unittest` test whose subtest failed: "PASSED name" and "SUBFAILED(...) name - why" (with
#            the fixture `subtests` it writes "FAILED name"). The parser knows PASSED alone. A check of the exit code throws the log
#            away, since nothing in it failed: not resolved, by luck. But where a test that nobody asks for fails beside it, that
#            check is content, and the same wrong repair is resolved.
# Matters:   Repositories whose tests use `self.subTest` give rewards for wrong repairs on pytest 9, since many suites have a test or
#            two that always fail in a container, without a network for instance.
# Output seen:
#   PASSED test_it.py::Tests::test_parts
#   SUBFAILED(part=1) test_it.py::Tests::test_parts - AssertionError: 1 != 0
#   failed subtest alone: resolved False
#   beside another failure: resolved True
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check uv
"$work/env/bin/uv" pip install --quiet --python "$work/env/bin/python" swebench==5.0.2 pytest==9.2.0
cat >"$work/test_it.py" <<'PY'
import unittest


class Tests(unittest.TestCase):
    def test_parts(self):
        for part in range(2):
            with self.subTest(part=part):
                self.assertEqual(part, 0)


def test_that_nobody_asks_for():
    assert False
PY
cat >"$work/grade.py" <<'PY'
import subprocess
import sys

from swebench.harness.grading import get_eval_report
from swebench.harness.utils import make_test_spec

NAME = "test_it.py::Tests::test_parts"
spec = make_test_spec(
    {
        "instance_id": "x__y-1", "image": "", "repo": "x/y", "version": "1", "FAIL_TO_PASS": [NAME], "PASS_TO_PASS": [],
        "log_parser": "parse_log_pytest", "eval_type": "pass_and_fail", "eval_script": "",
    }
)


def resolved(*tests: str) -> bool:
    done = subprocess.run([sys.executable, "-m", "pytest", "-rA", *tests], capture_output=True, text=True)
    with open("log", "w") as log:
        log.write(f"+ : '>>>>> Start Test Output'\n{done.stdout}\n+ : '>>>>> End Test Output'\n")
        log.write(f">>>>> Test Exit Code: {done.returncode}\n")
    if len(tests) == 1:
        print(*(line for line in done.stdout.splitlines() if line.startswith(("PASSED", "SUBFAILED"))), sep="\n")
    prediction = {"instance_id": "x__y-1", "model_name_or_path": "m", "model_patch": "p"}
    return get_eval_report(spec, prediction, "log", include_tests_status=True)["x__y-1"]["resolved"]


print("failed subtest alone: resolved", resolved(NAME))
print("beside another failure: resolved", resolved(NAME, "test_it.py::test_that_nobody_asks_for"))
PY
seen=$(cd "$work" && env/bin/python grade.py 2>/dev/null)
expected='PASSED test_it.py::Tests::test_parts
SUBFAILED(part=1) test_it.py::Tests::test_parts - AssertionError: 1 != 0
failed subtest alone: resolved False
beside another failure: resolved True'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "CHANGED: expected"; echo "$expected"; exit 1; }
