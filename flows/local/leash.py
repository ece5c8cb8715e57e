"""Runs a command that ends when its owner lets go: `python leash.py COMMAND...`, with a pipe of the owner's as standard input.

A flow process that is killed (kill -9, out of memory) cannot take its DVC with it, and the orphan would keep the checkout's
locks, so that the run that is started again waits for it. The end of the pipe tells of the owner's death, however it came;
an owner that wants the command to end closes it. A DVC that is killed leaves its stage in the same way, and a killed leash
leaves both: whoever is still there ends the rest of the process group.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from contextlib import suppress

GRACE_S = 20.0  # between asking all that runs to stop and killing it
_LOOK_S = 0.2


def run(command: list[str], *, environment: Mapping[str, str], held: Collection[int] = ()) -> int:
    """Run it on a leash of this process; its exit status. `held`: files that stay locked until the command has ended, too."""
    argv = [sys.executable, "-P", __file__, *command]
    process = subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, pass_fds=held, process_group=0)
    try:
        return process.wait()
    finally:
        process.stdin.close()
        process.wait()
        end_group(process.pid)


def main(command: list[str]) -> int:
    """Run the command in this process group; its exit status, or that of the signal that ended it."""
    signal.signal(signal.SIGINT, lambda *_: None)  # ours to outlive; a handler, since an ignored signal is inherited
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while process.poll() is None:
        if select.select([sys.stdin], [], [], _LOOK_S)[0] and not os.read(sys.stdin.fileno(), 4096):
            break
    end_group(os.getpgrp())
    code = process.wait()
    return code if code >= 0 else 128 - code


def end_group(group: int) -> None:
    """End every other process of a group: DVC and the stages clean up after SIGINT, and what has not ended then is killed."""
    asked, until = False, time.monotonic() + GRACE_S
    while others := _others(group):
        for pid in others if asked and time.monotonic() > until else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not asked:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGINT)
            asked = True
        time.sleep(_LOOK_S)


def _others(group: int) -> list[int]:
    """Its processes that run, but for this one."""
    import psutil  # only at the end: a leash starts with every command

    others = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            of_it = os.getpgid(process.pid) == group and process.pid != os.getpid()
            if of_it and process.status() != psutil.STATUS_ZOMBIE:
                others.append(process.pid)
    return others


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
