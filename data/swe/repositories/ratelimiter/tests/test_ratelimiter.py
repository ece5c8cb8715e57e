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
# Hidden from the agent from here on: the task's test patch appends it.


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
