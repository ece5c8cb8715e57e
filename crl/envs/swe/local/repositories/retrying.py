"""The repository retrying: try again when a call fails."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Try again when a call fails."""

import time
from functools import wraps


def retry(attempts=3, wait_s=0.1, factor=2, errors=(Exception,), sleep=time.sleep):
    """Decorator: call up to `attempts` times; the pause grows by `factor`. The last error is raised."""

    def decorate(function):
        @wraps(function)
        def call(*args, **kwargs):
            pause_s = wait_s
            for attempt in range(attempts):
                try:
                    return function(*args, **kwargs)
                except errors:
                    sleep(pause_s)
                    pause_s += factor

        return call

    return decorate
'''
_TESTS = """\
import pytest

from retrying import retry


def _fails(times, error=OSError):
    calls = []

    def function():
        calls.append(1)
        if len(calls) <= times:
            raise error("no")
        return len(calls)

    return function


def test_success_at_once():
    assert retry(sleep=None)(_fails(0))() == 1


def test_success_at_last():
    assert retry(attempts=3, sleep=lambda seconds: None)(_fails(2))() == 3


def test_other_errors_pass():
    with pytest.raises(OSError):
        retry(errors=(KeyError,), sleep=None)(_fails(1))()
"""
_HIDDEN = """\


def test_the_last_error_is_raised():
    with pytest.raises(OSError):
        retry(attempts=2, sleep=lambda seconds: None)(_fails(9))()


def test_pauses_grow_by_the_factor():
    pauses = []
    retry(attempts=4, wait_s=1, factor=3, sleep=pauses.append)(_fails(3))()
    assert pauses == [1, 3, 9]


def test_no_pause_after_the_last_attempt():
    pauses = []
    with pytest.raises(OSError):
        retry(attempts=2, wait_s=1, sleep=pauses.append)(_fails(9))()
    assert pauses == [1]


def test_one_attempt_does_not_sleep():
    with pytest.raises(OSError):
        retry(attempts=1, sleep=None)(_fails(1))()
"""
_ISSUE = """\
After the last attempt the error is swallowed

A call that always fails returns None; the docstring says that the last error is raised. There is no point in sleeping
after the last
attempt, either. And the pauses should be 0.1, 0.2, 0.4 ... but are 0.1, 2.1, 4.1.
"""
RECIPE = Recipe(
    name="retrying",
    split="eval",
    difficulty=3,
    issue=_ISSUE,
    files={"retrying.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=(
        "test_the_last_error_is_raised",
        "test_pauses_grow_by_the_factor",
        "test_no_pause_after_the_last_attempt",
        "test_one_attempt_does_not_sleep",
    ),
    candidates=(
        (
            Edit(
                "retrying.py",
                "                except errors:\n                    sleep(pause_s)\n",
                (
                    "                except errors:\n"
                    "                    if attempt == attempts - 1:\n"
                    "                        raise\n"
                    "                    sleep(pause_s)\n"
                ),
            ),
            Edit("retrying.py", "                    pause_s += factor\n", "                    pause_s *= factor\n"),
        ),
        (
            Edit(
                "retrying.py",
                "                except errors:\n                    sleep(pause_s)\n",
                (
                    "                except errors:\n"
                    "                    sleep(pause_s)\n"
                    "                    if attempt == attempts - 1:\n"
                    "                        raise\n"
                ),
            ),
            Edit("retrying.py", "                    pause_s += factor\n", "                    pause_s *= factor\n"),
        ),
        (
            Edit(
                "retrying.py",
                "                except errors:\n                    sleep(pause_s)\n",
                (
                    "                except errors:\n"
                    "                    if attempt == attempts:\n"
                    "                        raise\n"
                    "                    sleep(pause_s)\n"
                ),
            ),
            Edit("retrying.py", "                    pause_s += factor\n", "                    pause_s *= factor\n"),
        ),
        (
            Edit(
                "retrying.py",
                "                except errors:\n                    sleep(pause_s)\n",
                (
                    "                except errors:\n"
                    "                    if attempt == attempts - 1:\n"
                    "                        raise\n"
                    "                    sleep(pause_s)\n"
                ),
            ),
        ),
    ),
)
