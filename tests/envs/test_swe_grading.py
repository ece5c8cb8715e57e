"""Grading for real: what resolves an instance, and the ways that do not, however clever."""

import pytest

from crl.envs.swe.grading import grade
from crl.envs.swe.instances import Edit
from crl.envs.swe.local.diffs import edited, patch
from tests.envs.swe_tasks import CONFIG, demand_engine, local_instance
from tests.envs.test_swe_patches import new_file

INSTANCE = local_instance("lrucache")
EXPECTED = (*INSTANCE.fail_to_pass, *INSTANCE.pass_to_pass)
SOURCE = "lrucache.py"
TOP = "from collections import OrderedDict\n"


@pytest.fixture(scope="module", autouse=True)
def _engine():
    demand_engine()


def diff(*edits: Edit) -> str:
    return patch(INSTANCE.files, edited(INSTANCE.files, edits))


def test_the_repair_resolves():
    verdict = grade(INSTANCE, INSTANCE.patch, CONFIG)
    assert (verdict.resolved, verdict.score, verdict.refused) == (True, 1.0, False)


def test_nothing_and_something_else_do_not():
    assert grade(INSTANCE, " \n", CONFIG).reason == "The patch is empty."
    unrelated = grade(INSTANCE, new_file("notes.txt", "hello"), CONFIG)
    assert (unrelated.resolved, unrelated.score) == (False, 0.0)
    assert unrelated.reason == "0 of 1 failing tests pass now, 0 passing ones fail."


def test_a_repair_that_breaks_what_worked_does_not():
    breaking = diff(
        *INSTANCE.candidates[0], Edit(SOURCE, 'raise ValueError("capacity must be at least 1")', "capacity = 1")
    )
    verdict = grade(INSTANCE, breaking, CONFIG)
    assert (verdict.resolved, verdict.score) == (False, 1.0)
    assert "1 passing ones fail" in verdict.reason


def test_a_patch_that_does_not_apply_is_a_failure_not_a_crash():
    verdict = grade(INSTANCE, INSTANCE.patch.replace("return default", "return other"), CONFIG)
    assert (verdict.resolved, verdict.refused) == (False, False)
    assert "does not apply" in verdict.reason


def test_a_repair_that_never_returns_is_a_failure():
    endless = diff(Edit(SOURCE, "        return self._items[key]\n", "        while True:\n            pass\n"))
    assert not grade(INSTANCE, endless, CONFIG).resolved


FORGED = "".join(f"PASSED {name}\\n" for name in EXPECTED)


def test_the_conftest_that_forges_the_log_and_exits_is_refused():
    """swebench 5.0.2 alone calls this one resolved."""
    forging = new_file("conftest.py", "import os", f'print("{FORGED}", flush=True)', "os._exit(0)")
    verdict = grade(INSTANCE, forging, CONFIG)
    assert (verdict.resolved, verdict.refused) == (False, True)


@pytest.mark.parametrize(
    "code",
    [
        'import os\nos.write(1, b"PASS" b"ED {name}\\n")\n',
        'import os\nos.write(1, b"PASS" b"ED {name}\\n")\ngetattr(os, "_ex" + "it")(0)\n',
        'import sys\nsys.stdout.write("PASS" "ED {name}\\n")\nraise SystemExit(0)\n',
    ],
)
def test_forged_lines_from_inside_the_code_do_not_resolve(code):
    """They pass the tripwire for texts; the checks of the log stop them."""
    written = code.replace("{name}", INSTANCE.fail_to_pass[0])
    verdict = grade(INSTANCE, diff(Edit(SOURCE, TOP, TOP + written)), CONFIG)
    assert (verdict.resolved, verdict.refused) == (False, False)
