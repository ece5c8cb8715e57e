"""A Ray cluster of own processes for tests: `ray start`, one node after the other, and a node's death."""

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

from tests.marked import kill, marked

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "OMP_NUM_THREADS": "1",
}
_MARK = "CRL_TEST_RAY_NODE"  # inherited by all that a node starts
_START_S = 180.0
_TRIES = 3


class Node:
    """One `ray start` with one CPU. Its workers and their children die with it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._mark = uuid.uuid4().hex
        self._log = folder / f"{self._mark}.log"
        command = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--num-cpus=1", *arguments]
        command += ["--object-store-memory=100000000", "--disable-usage-stats"]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                command, env=os.environ | SETTINGS | {_MARK: self._mark}, stdout=output, stderr=subprocess.STDOUT
            )

    def runs(self) -> bool:
        """Wait until it does; False when Ray gave up, as it does after 30 s on a very busy machine."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if "Ray runtime started" in self._log.read_text(errors="replace"):
                return True
            time.sleep(0.2)
        self.kill()
        return False

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL to everything of the node at once."""
        kill(marked(_MARK, self._mark))
        self._process.wait()


def head(folder: Path, port: int, client_port: int) -> Node:
    return _started(
        folder, "--head", f"--port={port}", "--node-ip-address=127.0.0.1", "--include-dashboard=false", f"--temp-dir={folder}/r",
        f"--ray-client-server-port={client_port}",
    )  # fmt: skip


def worker(folder: Path, port: int) -> Node:
    # An address of its own: a driver picks its raylet by address, and must not belong to the node that dies.
    return _started(folder, f"--address=127.0.0.1:{port}", "--node-ip-address=127.0.0.2")


def _started(folder: Path, *arguments: str) -> Node:
    for _ in range(_TRIES):
        node = Node(folder, *arguments)
        if node.runs():
            return node
    raise RuntimeError(f"ray did not start {_TRIES} times: {node.log[-3000:]}")
