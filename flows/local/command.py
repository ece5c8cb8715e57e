"""What every command of `flows` does with what ends it: a sentence with a remedy and an exit status, never a traceback.

0 done · 2 a fault that has a name (`crl.errors`) · 130 Ctrl-C · 143 SIGTERM. What has no name is a fault of ours, and shown whole.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from rich.console import Console

from crl.errors import named
from flows.local import stops

console = Console(stderr=True)


def command(again: str = "the same command goes on where it stopped", *, grace_s: float = stops.GRACE_S) -> Callable:
    """Decorates a command's `main`, which returns an exit status (None: 0). `again`: what to do after it was interrupted.

    `grace_s`: how long it may take to end in order after a signal.
    """

    def decorate(main: Callable[..., int | None]) -> Callable[..., int]:
        @wraps(main)
        def run(*arguments: Any, **options: Any) -> int:
            for handler in logging.getLogger().handlers:  # the terminal's; Prefect's server is sent everything before
                handler.addFilter(_without_traceback)
            with stops.heard(grace_s):
                try:
                    return main(*arguments, **options) or 0
                except KeyboardInterrupt as stop:
                    console.print(f"interrupted; {again}", highlight=False)
                    return stop.code if isinstance(stop, stops.Stopped) else 130
                except Exception as error:
                    if (fault := named(error)) is None:
                        raise
                    tell(fault, str(fault))
                    return 2

        return run

    return decorate


def _without_traceback(record: logging.LogRecord) -> bool:
    """Tools log what a flow raised with its traceback: of a fault that has a name their line is enough."""
    if record.exc_info and record.exc_info[1] and named(record.exc_info[1]):
        record.exc_info = record.exc_text = None
    return True


def tell(fault: Exception, message: str) -> None:
    """A fault by its kind, and a message, which may hold brackets."""
    console.print(f"[bold red]{type(fault).__name__}[/]")
    console.print(message, markup=False, highlight=False, soft_wrap=True)
