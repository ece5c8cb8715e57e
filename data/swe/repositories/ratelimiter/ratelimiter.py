"""At most so many calls per window of time."""

import time


class RateLimiter:
    def __init__(self, limit, window_s, calls=None, clock=time.monotonic):
        self.limit = limit
        self.window_s = window_s
        self._calls = list(calls or ())
        self._clock = clock

    def allow(self):
        """Whether one more call may happen now; if so, it is counted."""
        now = self._clock()
        while self._calls and now - self._calls[0] >= self.window_s:
            self._calls.pop(0)
        if len(self._calls) >= self.limit:
            return False
        self._calls.append(now)
        return True
