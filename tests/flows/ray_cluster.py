"""A Ray cluster of own processes for tests: `ray start`, one node after the other, and a node's death."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from flows.local.process import free_port
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


def head(folder: Path) -> tuple[Node, int]:
    """A new cluster's, and its port: at each try another one, which somebody else may have taken just before."""
    ports: list[int] = []

    def arguments() -> list[str]:
        ports.append(free_port())
        return [
            "--head", f"--port={ports[-1]}", "--node-ip-address=127.0.0.1", "--include-dashboard=false", f"--temp-dir={folder}/r",
            f"--ray-client-server-port={free_port()}",
        ]  # fmt: skip

    return _started(folder, arguments), ports[-1]


def worker(folder: Path, port: int) -> Node:
    # An address of its own: a driver picks its raylet by address, and must not belong to the node that dies.
    return _started(folder, lambda: [f"--address=127.0.0.1:{port}", "--node-ip-address=127.0.0.2"])


def _started(folder: Path, arguments: Callable[[], list[str]]) -> Node:
    for _ in range(_TRIES):
        node = Node(folder, *arguments())
        if node.runs():
            return node
    raise RuntimeError(f"ray did not start {_TRIES} times: {node.log[-3000:]}")
