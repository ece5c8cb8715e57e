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
# Hidden from the agent from here on: the task's test patch appends it.


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
