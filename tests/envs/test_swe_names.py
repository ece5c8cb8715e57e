"""Tests that the harness alone misjudges: names with blanks, failed subtests, tests that expect to fail. Logs are pytest's own."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.envs.swe.grading import grade, judge
from crl.envs.swe.instances import Instance
from crl.envs.swe.local.repositories import read
from tests.envs.swe_tasks import CONFIG, demand_engine, local_instance
from tests.envs.test_swe_logs import log

TESTS = """
import unittest, pytest

@pytest.mark.parametrize("v", ["a b", "a c", "a - b", "x] y[z", "two  blanks", "bad", "b - bad", "b"])
def test_x(v):
    assert "bad" not in v

class T(unittest.TestCase):
    def test_good(self):
        for i in range(3):
            with self.subTest("some words", i=i):
                pass

    def test_bad(self):
        for i in range(3):
            with self.subTest("a SUBFAIL of words", i=i):
                self.assertNotEqual(i, 1, "test_names.py::T::test_told")

    def test_told(self):
        pass

def test_own(subtests):
    with subtests.test("own"):
        assert 0

def test_gives_up():
    pytest.xfail("PASSED")

@pytest.mark.parametrize("v", ["gives up"])
def test_y(v):
    pytest.xfail("soon")
"""
GOOD = (
    "test_x[a b]",
    "test_x[a c]",
    "test_x[a - b]",
    "test_x[x] y[z]",
    "test_x[two  blanks]",
    "test_x[b]",
    "T::test_good",
)
BAD = ("test_x[bad]", "test_x[b - bad]", "T::test_bad", "test_own", "test_gives_up", "test_y[gives up]", "test_x[a d]")
PARSERS = (
    "parse_log_pytest",
    "parse_log_pytest_options",
    "parse_log_pytest_v2",
    "parse_log_seaborn",
    "parse_log_matplotlib",
)


@pytest.fixture(scope="module", params=["-rA", "-rfExp"])
def real_log(request, tmp_path_factory) -> str:
    """Of the pytest that is installed here, with the failures listed last or first."""
    folder = tmp_path_factory.mktemp("names")
    (folder / "test_names.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", request.param, "-p", "no:cacheprovider", "test_names.py"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    plain |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=plain, capture_output=True, text=True, check=False)
    return log(done.stdout, code=done.returncode)


def instance(*fails: str, passes: tuple[str, ...] = (), parser: str = PARSERS[0]) -> Instance:
    names = {
        "fail_to_pass": tuple(f"test_names.py::{name}" for name in fails),
        "pass_to_pass": tuple(f"test_names.py::{name}" for name in passes),
    }
    return local_instance("lrucache").model_copy(update=names | {"log_parser": parser})


@pytest.mark.parametrize("parser", PARSERS)
def test_every_test_gets_its_own_verdict(real_log, parser):
    verdict = judge(instance(*GOOD, *BAD, parser=parser), "x", real_log)
    assert (verdict.resolved, verdict.score) == (False, len(GOOD) / len(GOOD + BAD)), verdict.reason
    assert judge(instance(*GOOD, parser=parser), "x", real_log).resolved
    for name in BAD:
        assert judge(instance(name, parser=parser), "x", real_log).score == 0.0, name


def test_a_test_that_may_fail_maintains_what_passed_and_counts_where_the_tests_ask_for_it(real_log):
    assert judge(instance(GOOD[0], passes=("test_gives_up", "test_y[gives up]")), "x", real_log).resolved
    asked = instance("test_gives_up", "test_y[gives up]").model_copy(update={"test_patch": "+    pytest.xfail()"})
    assert judge(asked, "x", real_log).resolved


WORDS = """import pytest

from words import count


def test_nothing():
    assert count("") == 0
# Hidden from the agent from here on: the task's test patch appends it.


@pytest.mark.parametrize("text", ["one", "a b", "a  b", " a - b"])
def test_words(text):
    assert count(text) == len([word for word in text.split()])
"""
TASK = """split = "train"
difficulty = 1
issue = "Blanks are counted as words"
fails = ["test_words[a  b]", "test_words[ a - b]"]
wrong = []
[[repair]]
path = "words.py"
old = 'text.split(" ")'
new = "text.split()"
"""


def test_names_with_blanks_are_graded_in_a_container(tmp_path):
    """With the pytest of the base image."""
    demand_engine()
    (tmp_path / "words" / "tests").mkdir(parents=True)
    for name, text in {
        "task.toml": TASK,
        "words.py": "def count(text):\n    return len(text.split()) if text else 0\n",
        "tests/test_words.py": WORDS,
    }.items():
        (tmp_path / "words" / name).write_text(text)
    words = read(tmp_path / "words")[1]
    assert grade(words, words.patch, CONFIG).resolved
    half = words.patch.replace("+    return len(text.split())", '+    return len(text.replace("  ", " ").split(" "))')
    assert grade(words, half, CONFIG).score == 0.5


NAMES = ("t.py::a[x y]", "t.py::a[x y] - z]", "t.py::a[x", "t.py::b", "t.py::c d")
LINES = st.builds(
    "{}{} {}{}".format,
    st.sampled_from(("", "[m] (i=1) ", " ")),
    st.sampled_from(("PASSED", "FAILED", "ERROR", "XFAIL", "SUBFAILED(i=1)", "SUBFAIL", "noise")),
    st.sampled_from(NAMES),
    st.sampled_from(("", " - why", " - t.py::b", "]", " ")),
)


@given(st.sampled_from(NAMES[:2]), st.booleans(), st.lists(LINES, max_size=6))
def test_no_line_passes_a_test_but_one_that_names_it_whole(name, passed, lines):
    lines = lines + [f"PASSED {name}"] * passed
    verdict = judge(
        instance().model_copy(update={"fail_to_pass": (name,)}), "x", log(*lines, "==== 9 passed in 0.02s ====")
    )
    if verdict.resolved:
        assert f"PASSED {name}" in lines
        assert not {f"{word} {name}{why}" for word in ("FAILED", "ERROR") for why in ("", " - why")} & set(lines)
        assert not any(line.endswith(f" {name}") for line in lines if "SUBFAIL" in line)
