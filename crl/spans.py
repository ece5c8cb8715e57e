"""The spans of a round, its metrics `time/*`: on the critical path they add up to its wall clock.

Spans are disjoint on the critical path: entering a span pauses the one around it. Work that runs beside
the critical path is added with `add`, and appears in the totals only.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

SPANS = (
    "retrieve", "generate", "env_step", "distil", "merge", "flush_wait", "inspect", "actor_update", "extractor_update",
    "weight_sync", "snapshot", "checkpoint", "account",
)  # fmt: skip
_BETWEEN = "account"  # episodes are accounted for between the other spans, and background threads may draw that out


class Spans:
    """Seconds by span: `critical` adds up to the wall clock, `total` also counts background work."""

    def __init__(self) -> None:
        self.critical: dict[str, float] = defaultdict(float)
        self.total: dict[str, float] = defaultdict(float)
        self._stack: list[str] = []
        self._since = time.perf_counter()
        self._lock = threading.Lock()

    @contextmanager
    def on_path(self, span: str) -> Iterator[None]:
        """Time a block of the critical path (one thread only: the round's driver)."""
        self._check(span)
        self.charge()
        self._stack.append(span)
        try:
            yield
        finally:
            self.charge()
            self._stack.pop()

    @property
    def pulse(self) -> tuple[tuple[str, ...], float]:
        """What differs as soon as another span is open, or one has ended; from any thread."""
        with self._lock:
            return tuple(self._stack), sum(self.total.values())

    def charge(self) -> None:
        """Charge what has passed up to now to the open span, or to none of the others: before `metrics` inside a block, too."""
        now = time.perf_counter()
        span = self._stack[-1] if self._stack else _BETWEEN
        self.critical[span] += now - self._since
        self.add(span, now - self._since)
        self._since = now

    def add(self, span: str, seconds: float) -> None:
        self._check(span)
        with self._lock:
            self.total[span] += seconds

    def split_rollout(self, busy_s: dict[str, float], wall_s: float) -> None:
        """Share a rollout's wall clock: seconds in which an engine or the retriever was busy; the rest waits for environments.

        Those that work at once (async) may be busy for longer than the wall clock; their shares shrink to fit.
        """
        shrink = min(1.0, wall_s / (sum(busy_s.values()) or 1.0))
        for span, seconds in busy_s.items():
            self.critical[span] += seconds * shrink
            self.add(span, seconds)
        rest_s = wall_s - sum(busy_s.values()) * shrink
        self.critical["env_step"] += rest_s
        self.add("env_step", rest_s)
        self._since = time.perf_counter()  # shared out by now

    def metrics(self) -> dict[str, float]:
        """`time/<span>_s` on the critical path and `time/<span>_total_s` over all threads and coroutines."""
        rows = {f"time/{span}_s": self.critical.get(span, 0.0) for span in SPANS}
        rows |= {f"time/{span}_total_s": self.total.get(span, 0.0) for span in SPANS}
        return rows

    @staticmethod
    def _check(span: str) -> None:
        if span not in SPANS:
            raise ValueError(f"span = {span!r}: not in the vocabulary. Remedy: use one of {', '.join(SPANS)}")
