"""Runs a command that ends when its owner lets go: `python leash.py COMMAND...`, with a pipe of the owner's as standard input.

A flow process that is killed (kill -9, out of memory) cannot take its DVC with it, and the orphan would keep the checkout's
locks, so that the run that is started again waits for it. The end of the pipe tells of the owner's death, however it came;
an owner that wants the command to end closes it.
"""

import os
import select
import signal
import subprocess
import sys
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


def main(command: list[str]) -> int:
    """Run the command in this process group; its exit status, or that of the signal that ended it."""
    signal.signal(signal.SIGINT, lambda *_: None)  # ours to outlive; a handler, since an ignored signal is inherited
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while (code := process.poll()) is None:
        if select.select([sys.stdin], [], [], _LOOK_S)[0] and not os.read(sys.stdin.fileno(), 4096):
            os.killpg(0, signal.SIGINT)  # DVC and the stages clean up after it
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
            os.killpg(0, signal.SIGKILL)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
