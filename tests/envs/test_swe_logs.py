"""Verdicts on logs, without a container: honest logs of every shape get the harness's, and forged ones none."""

import pytest

from crl.envs.swe.grading import judge
from tests.envs.swe_tasks import local_instance

INSTANCE = local_instance("lrucache")
EXPECTED = (*INSTANCE.fail_to_pass, *INSTANCE.pass_to_pass)
FILE = EXPECTED[0].partition("::")[0]


def log(*lines: str, code: int = 0) -> str:
    body = "\n".join(lines)
    return f"+ : '>>>>> Start Test Output'\n{body}\n+ : '>>>>> End Test Output'\n>>>>> Test Exit Code: {code}\n"


PASSED = tuple(f"PASSED {name}" for name in EXPECTED)


def test_an_honest_log_is_accepted():
    assert judge(INSTANCE, "x", log(*PASSED, f"==== {len(EXPECTED)} passed in 0.02s ====")).resolved


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (PASSED, 0),  # no summary: the run ended itself
        ((*PASSED, "==== 1 passed in 0.02s ===="), 0),  # fewer passed than named
        ((*PASSED, "==== 5 passed in 0.02s ====", "==== 5 passed in 0.02s ===="), 0),
        ((*PASSED, "==== 5 passed in 0.02s ===="), 1),  # the exit code knows better
        ((*PASSED, f"FAILED {EXPECTED[0]}", PASSED[0], "==== 1 failed, 5 passed in 0.02s ===="), 1),  # two verdicts
        ((), 0),
    ],
)
def test_a_log_that_contradicts_itself_is_not(lines, code):
    assert not judge(INSTANCE, "x", log(*lines, code=code)).resolved


def test_an_exit_code_told_twice_is_not_accepted():
    honest = log(*PASSED, "==== 5 passed in 0.02s ====")
    assert not judge(INSTANCE, "x", honest + ">>>>> Test Exit Code: 0\n").resolved


SHORT = "=========== short test summary info ==========="
INNER = (  # what a test of a pytest plugin prints
    "=========== test session starts ===========",
    "collected 2 items",
    "test_inner.py::test_one PASSED [ 50%]",
    "=========== FAILURES ===========",
    SHORT,
    "PASSED test_inner.py::test_one",
    "FAILED test_inner.py::test_two - assert 0",
    "=========== 1 failed, 1 passed in 0.01s ===========",
)
CAPTURED = ("___________ test_of_a_plugin ___________", "----------- Captured stdout call -----------")
PLUGIN = ("=========== PASSES ===========", *CAPTURED, *INNER, *CAPTURED, *INNER)
HONEST = {
    "pytest 9 with subtests": (*PASSED, "==== 5 passed, 3 subtests passed in 0.02s ===="),
    "pytest 9 with a failed subtest elsewhere": (
        *PASSED, "SUBFAILED(i=1) test_other.py::test - assert 0", "FAILED test_other.py::test - contains 1 failed subtest",
        "==== 2 failed, 5 passed, 1 subtests passed in 0.02s ====",
    ),
    "pytest up to 5.0": (*PASSED, "==== 5 passed in 0.02 seconds ===="),
    "pytest up to 3.0": (*PASSED, "==== 5 passed, 2 pytest-warnings in 61.02 seconds ===="),
    "a long run": (*PASSED, "==== 5 passed, 1 warning in 65.02s (0:01:05) ===="),
    "in colour": (*PASSED, "\x1b[32m==== \x1b[1m5 passed\x1b[0m\x1b[32m in 0.02s\x1b[0m\x1b[32m ====\x1b[0m"),
    "quiet": (*PASSED, "5 passed in 0.02s"),
    "a plugin's suite": (*PLUGIN, SHORT, *PASSED, "==== 5 passed in 0.92s ===="),
    "a plugin's suite, pytest up to 4": (SHORT, *PASSED, *PLUGIN, "==== 5 passed in 0.92 seconds ===="),
    "a plugin's suite with sessions that never ended": (*PLUGIN, *INNER[:4], SHORT, *PASSED, "==== 5 passed in 0.92s ===="),
}  # fmt: skip


@pytest.mark.parametrize("shape", HONEST)
def test_an_honest_log_of_any_shape_gets_the_harness_own_verdict(shape):
    verdict = judge(INSTANCE, "x", log(*HONEST[shape], code=int("failed" in shape)))
    assert verdict.resolved, verdict.reason


def test_a_percentage_that_the_data_list_as_a_test_is_left_to_the_harness():
    """SWE-bench expects "[100%]" of two instances of pytest: a line that sessions inside of tests print."""
    listed = INSTANCE.model_copy(update={"pass_to_pass": (*INSTANCE.pass_to_pass, "[100%]")})
    inner = (*CAPTURED, "FAILED [100%]", *CAPTURED, "PASSED [100%]")
    assert judge(listed, "x", log(*inner, SHORT, *PASSED, "==== 5 passed in 0.92s ====")).resolved


CUT = f"{FILE}::test_unit[a"


@pytest.mark.parametrize(
    ("last", "summary", "code", "resolved"),
    [
        (f"XFAIL {CUT} b] - reason", "==== 6 passed, 1 xfailed in 0.02s ====", 0, True),
        (f"FAILED {CUT} b] - assert 0", "==== 1 failed, 6 passed in 0.02s ====", 1, False),
        (f"ERROR {CUT} c] - after it passed", "==== 6 passed, 1 error in 0.02s ====", 1, False),
    ],
)
def test_names_that_are_cut_at_a_blank_get_the_verdict_that_the_harness_reads(last, summary, code, resolved):
    cut = INSTANCE.model_copy(update={"pass_to_pass": (*INSTANCE.pass_to_pass, CUT)})
    verdict = judge(cut, "x", log(*PASSED, f"PASSED {CUT} c]", last, summary, code=code))
    assert (verdict.resolved, verdict.score) == (resolved, 1.0)
    assert "not accepted" not in verdict.reason


REAL = (SHORT, *PASSED[1:], f"FAILED {EXPECTED[0]} - assert 0", "==== 1 failed, 4 passed in 0.02s ====")
ALL = "==== 5 passed in 0.02s ===="


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ((*REAL, ALL), 0),  # a second summary, after the run's own
        ((*REAL, *PASSED, ALL), 0),
        ((*PLUGIN, *REAL, ALL), 0),
        ((*PLUGIN, *REAL, *PASSED, ALL), 0),
        ((*PLUGIN, *REAL, *CAPTURED, *PASSED, ALL), 0),
        ((*PLUGIN, *PASSED, ALL, SHORT, f"ERROR {FILE} - ImportError", "==== 1 error in 0.02s ===="), 1),
        ((*PASSED, "=========== PASSES ===========", *CAPTURED, *REAL, ALL), 0),
        ((*PLUGIN, *PASSED), 0),  # the run's own summary is missing
        ((*CAPTURED, *PASSED, "FAILED x::y", ">>>>> End Test Output", *REAL), 1),  # the harness reads up to here
        ((*CAPTURED, *PASSED, "FAILED x::y", ">>>>> Start Test Output", *REAL), 1),
    ],
)
def test_sessions_inside_of_tests_are_no_cover_for_a_forged_end(lines, code):
    assert not judge(INSTANCE, "x", log(*lines, code=code)).resolved
