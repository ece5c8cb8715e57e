"""Processes that carry a mark: a variable of their environment, inherited by all that they start."""

from contextlib import suppress

import psutil


def marked(variable: str, value: str) -> list[psutil.Process]:
    """Those that run, wherever they stand in the tree of processes."""
    return [process for process in psutil.process_iter() if _carries(process, variable, value)]


def kill(processes: list[psutil.Process]) -> None:
    """SIGKILL to each; harmless where one has just ended."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _carries(process: psutil.Process, variable: str, value: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(variable) == value
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
