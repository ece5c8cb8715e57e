"""An episode's timeline: what it has waited for, and what it waits for now."""

import time

from crl.types import TimedSpan


class Clock:
    """Two spans a turn, one after the other: a plain method costs a third of a context manager."""

    def __init__(self) -> None:
        self.spans: list[TimedSpan] = []
        self.now: tuple[str, float] = "begin", time.time()  # the span that it is in, or was last, and since when

    def begin(self, name: str) -> None:
        self.now = name, time.time()

    def end(self) -> None:
        self.spans.append(TimedSpan(*self.now, time.time()))
