"""Processes that carry a mark, a variable of their environment which all that they start inherits; and the end of any process."""

from contextlib import suppress

import psutil


def marked(variable: str, value: str) -> list[psutil.Process]:
    """Those that run, wherever they stand in the tree of processes."""
    return [process for process in psutil.process_iter() if _carries(process, variable, value)]


def has_ended(pid: int) -> bool:
    """Whether the process is gone, or is a zombie: one that has ended and that whoever takes orphans in has not asked for yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


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
