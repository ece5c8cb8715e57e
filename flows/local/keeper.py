"""Runs a server that its users share for as long as there are any: `python keeper.py RECORD COMMAND...`.

Each user holds a shared lock on `users.lock` beside RECORD, the file that says where the server is; the kernel takes the lock
back however the user ends (kill -9, out of memory). Once nobody holds it the server ends and RECORD goes, unless a file `*.kept`
says that it was started for good. Who comes meanwhile waits for the lock.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

GRACE_S = 10.0  # between asking the server to stop and killing it
_LOOK_S = 1.0


def main(record: Path, command: list[str]) -> int:
    """Run the command in this process group; its exit status, or that of the signal that ended it."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # the server's; a handler, since an ignored signal is inherited
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    with (record.parent / "users.lock").open("a") as users:
        while (code := server.poll()) is None:
            time.sleep(_LOOK_S)
            with suppress(BlockingIOError):  # it is used
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not any(record.parent.glob("*.kept")):
                    server.terminate()
                    with suppress(subprocess.TimeoutExpired):
                        server.wait(GRACE_S)
                    record.unlink(missing_ok=True)
                    os.killpg(0, signal.SIGKILL)
                fcntl.flock(users, fcntl.LOCK_UN)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
