"""The repository ratelimiter: at most so many calls per window of time."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""At most so many calls per window of time."""

import time


class RateLimiter:
    def __init__(self, limit, window_s, calls=[], clock=time.monotonic):
        self.limit = limit
        self.window_s = window_s
        self._calls = calls
        self._clock = clock

    def allow(self):
        """Whether one more call may happen now; if so, it is counted."""
        now = self._clock()
        while self._calls and now - self._calls[0] > self.window_s:
            self._calls.pop(0)
        if len(self._calls) > self.limit:
            return False
        self._calls.append(now)
        return True
'''
_TESTS = """\
from ratelimiter import RateLimiter


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_old_calls_are_forgotten():
    clock = Clock()
    limiter = RateLimiter(1, 10, [], clock)
    assert limiter.allow()
    clock.now = 11
    assert limiter.allow()


def test_far_too_many_calls():
    limiter = RateLimiter(1, 10, [], Clock())
    assert [limiter.allow() for _ in range(9)][-1] is False
"""
_HIDDEN = """\


def test_exactly_the_limit():
    limiter = RateLimiter(2, 10, [], Clock())
    assert [limiter.allow() for _ in range(4)] == [True, True, False, False]


def test_limiters_are_independent():
    one, two = RateLimiter(3, 10, clock=Clock()), RateLimiter(3, 10, clock=Clock())
    assert all(one.allow() for _ in range(3))
    assert all(two.allow() for _ in range(3))
    assert not one.allow()


def test_a_call_of_exactly_the_window_is_over():
    clock = Clock()
    limiter = RateLimiter(1, 10, [], clock)
    assert limiter.allow()
    clock.now = 9.5
    assert not limiter.allow()
    clock.now = 10
    assert limiter.allow()


def test_calls_can_be_given():
    assert not RateLimiter(1, 10, [0.0], Clock()).allow()
"""
_ISSUE = """\
One call too many, and limiters influence each other

RateLimiter(2, 10) lets three calls through. A second limiter in the same process starts with the first one's calls
already counted.
A call exactly window_s seconds old should no longer count.
"""
RECIPE = Recipe(
    name="ratelimiter",
    split="train",
    difficulty=4,
    issue=_ISSUE,
    files={"ratelimiter.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=(
        "test_exactly_the_limit",
        "test_limiters_are_independent",
        "test_a_call_of_exactly_the_window_is_over",
        "test_calls_can_be_given",
    ),
    candidates=(
        (
            Edit("ratelimiter.py", "calls=[], clock", "calls=None, clock"),
            Edit("ratelimiter.py", "self._calls = calls\n", "self._calls = list(calls or ())\n"),
            Edit("ratelimiter.py", "now - self._calls[0] > self.window_s", "now - self._calls[0] >= self.window_s"),
            Edit("ratelimiter.py", "len(self._calls) > self.limit", "len(self._calls) >= self.limit"),
        ),
        (
            Edit("ratelimiter.py", "now - self._calls[0] > self.window_s", "now - self._calls[0] >= self.window_s"),
            Edit("ratelimiter.py", "len(self._calls) > self.limit", "len(self._calls) >= self.limit"),
        ),
        (
            Edit("ratelimiter.py", "self._calls = calls\n", "self._calls = []\n"),
            Edit("ratelimiter.py", "now - self._calls[0] > self.window_s", "now - self._calls[0] >= self.window_s"),
            Edit("ratelimiter.py", "len(self._calls) > self.limit", "len(self._calls) >= self.limit"),
        ),
        (
            Edit("ratelimiter.py", "self._calls = calls\n", "self._calls = list(calls)\n"),
            Edit("ratelimiter.py", "len(self._calls) > self.limit", "len(self._calls) >= self.limit"),
        ),
    ),
)
