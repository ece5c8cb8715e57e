"""Waiting in tests: until something holds, however slow the machine is, and never just once or for a fixed while."""

import time
from collections.abc import Callable


def until(holds: Callable[[], object], what: str = "it came about", wait_s: float = 60.0) -> None:
    """Look again and again until `holds` is true; `what` says in the failure what was waited for."""
    deadline_s = time.monotonic() + wait_s
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {wait_s:g} s: {what}"
        time.sleep(0.05)
