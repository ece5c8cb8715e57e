"""The environment worker process: `python -m crl.envs.hosting.worker FD PROGRESS_FILE CONFIG`.

Started by `crl.envs.hosting.process` with an executable of its own rather than by `multiprocessing`, so that
the parent's main module (and torch with it) is never imported here. Imports stay light: numpy and,
once a task asks for it, the environment family.

Before each request its number is written to the progress file, which tells the parent what hangs; importing is no part of it.
"""

import signal
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from crl.concurrency import end_with_parent
from crl.config.play import EnvsConfig
from crl.envs.hosting.host import EnvHost
from crl.envs.hosting.messages import IDLE, STARTING, Progress, Reply, Request
from crl.errors import CrlError

REPLY_EVERY_S = 0.05  # longer messages are answered in parts, so that the engine decodes while the rest is played


def serve(connection: Connection, progress: Progress, host: EnvHost) -> None:
    """Answer messages until the parent hangs up; a long message is answered in parts."""
    progress.set(IDLE)
    while True:
        try:
            requests: list[Request] = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        replies: list[Reply] = []
        sent_s = time.monotonic()
        for request in requests:
            replies.append(_answer(host, request, progress))
            if request is requests[-1] or time.monotonic() - sent_s > REPLY_EVERY_S:
                progress.set(IDLE)
                connection.send(replies)
                replies, sent_s = [], time.monotonic()


def _answer(host: EnvHost, request: Request, progress: Progress) -> Reply:
    try:
        if request.method == "reset":
            progress.set(STARTING)
            host.load(request.arguments[1])
        progress.set(request.number)
        return Reply(request.number, getattr(host, request.method)(*request.arguments))
    except CrlError as error:
        return Reply(request.number, None, error)


def main() -> None:
    fd, progress_file, config = int(sys.argv[1]), Path(sys.argv[2]), EnvsConfig.model_validate_json(sys.argv[3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    end_with_parent(fd, Path(tempfile.gettempdir()))  # a hung environment must not outlive a killed parent
    host = EnvHost(config)
    try:
        serve(Connection(fd), Progress(progress_file), host)
    except BrokenPipeError:
        pass  # the parent left while we were answering
    finally:
        host.close()


if __name__ == "__main__":
    main()
