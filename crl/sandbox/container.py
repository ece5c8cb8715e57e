"""One started container, for one episode."""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from crl.config.sandbox import SandboxConfig
from crl.sandbox import shell
from crl.sandbox.archive import check
from crl.sandbox.engine import Engine
from crl.sandbox.errors import SandboxBroken, SandboxError
from crl.sandbox.limits import AGENT
from crl.sandbox.stream import FLOOD_BYTES, Ending, Kept, Stream, StreamRefused

GRACE_S = 10.0  # between a command's wall clock and the end of its stream, and again after a kill from outside
START_TRIES = 4  # a start that fails for want of processes is tried again: bombs pause when fork fails
EXIT_CODE_WAIT_S = 5.0  # the engine notes the code shortly after the stream's end


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command did."""

    exit_code: int  # 137 when it was killed
    output: str  # stdout and stderr in order, decoded with replacement; head and tail kept, the cut named on a line
    timed_out: bool  # killed at its wall clock
    seconds: float


class Sandbox:
    """A started container. Made by `SandboxPool.take`; used by one thread at a time."""

    def __init__(
        self,
        docker: Engine,
        container_id: str,
        image: str,
        config: SandboxConfig,
        on_close: Callable[["Sandbox"], None],
    ) -> None:
        self.id = container_id
        self.image = image  # the ID that it was started from
        self._docker, self._config, self._on_close = docker, config, on_close
        self._closed = False

    def run(self, command: str, *, timeout_s: float | None = None, stdin: bytes = b"") -> CommandResult:
        """`bash -lc command` in /testbed as uid 1000. No process of it outlives the call: background ones are killed at its end.

        `timeout_s` defaults to the configuration's `command_timeout_s`.
        Raises SandboxError when the container or the engine is lost, SandboxBroken when the episode's own commands
        left no room for another one.
        """
        if refusal := shell.refusal(command):
            return CommandResult(shell.REFUSED, refusal, False, 0.0)
        return self._run(shell.login_shell(command), timeout_s or self._config.command_timeout_s, stdin)

    def put_tree(self, tar: bytes) -> None:
        """Replace the contents of /testbed by those of the uncompressed archive, owned by uid 1000."""
        check(tar)
        done = self._run(shell.UNPACK, self._config.command_timeout_s, tar)
        if done.exit_code:
            raise SandboxError(
                f"an archive of {len(tar) / 2**20:.1f} MiB could not be unpacked (code {done.exit_code}): "
                f"{done.output[-500:]}. Remedy: where it is too large, raise sandbox.disk_mb = {self._config.disk_mb}"
            )

    def running(self) -> bool:
        """Whether the container is there and runs."""
        from docker.errors import NotFound

        with self._docker.guard(f"container {self.id[:12]}"):
            try:
                return bool(self._docker.api.inspect_container(self.id)["State"]["Running"])
            except NotFound:
                return False

    def close(self) -> None:
        """Remove the container now. Idempotent. A lost engine is no error: the pool and the reaper try again."""
        if not self._closed:
            with suppress(SandboxError):
                self._docker.remove(self.id)
                self._closed = True
                self._on_close(self)

    def _run(self, arguments: list[str], timeout_s: float, stdin: bytes) -> CommandResult:
        """One command, bounded by its wrapper inside and by us outside."""
        marker = secrets.token_hex(8)
        started_s = time.monotonic()
        wrapped = shell.wrapped(marker, timeout_s, arguments)
        exec_id, text, ending = self._start(wrapped, marker, stdin, timeout_s + GRACE_S)
        seconds = time.monotonic() - started_s
        text = text.removeprefix(marker).removeprefix("\n")
        if not text.endswith(marker) and ending is Ending.END:
            self._demand_running()
            self._clean()  # the wrapper itself was killed: it cannot have cleaned up
        text, code = text.removesuffix(marker), self._exit_code(exec_id)
        if ending is Ending.FLOOD:
            text += f"\n[killed: it had printed more than {FLOOD_BYTES // 2**20} MiB]"
        timed_out = ending is Ending.LATE or (code == shell.KILLED and seconds >= timeout_s)
        return CommandResult(code, text, timed_out, seconds)

    def _start(self, wrapped: list[str], marker: str, stdin: bytes, limit_s: float) -> tuple[str, str, Ending]:
        """Exec, text and ending of a command that the container took, tried again while it cannot take any."""
        for attempt in range(START_TRIES):
            exec_id, text, ending = self._exec(wrapped, stdin, limit_s)
            if text.startswith(marker):
                return exec_id, text, ending
            self._demand_running()
            if ending is Ending.LATE:
                raise SandboxError(
                    f"container {self.id[:12]} did not start a command within {limit_s:g} s. Remedy: fewer environment "
                    "workers on this machine, or a higher sandbox.command_timeout_s"
                )
            time.sleep(0.25 * 2**attempt)
        raise self._broken(f"no further process can be started in it: {text.strip()[-300:]}")

    def _exec(self, arguments: list[str], stdin: bytes, limit_s: float) -> tuple[str, str, Ending]:
        """The exec's ID, what is kept of its output, and how its stream ended."""
        kept = Kept(self._config.output_chars + 33)  # the markers come on top
        with self._docker.guard(f"a command in container {self.id[:12]}"):
            exec_id, stream = self._open(arguments, bool(stdin))
            try:
                ending = stream.exchange(stdin, kept, time.monotonic() + limit_s)
                if ending is not Ending.END:
                    self._clean()
                    if stream.drain(time.monotonic() + GRACE_S) is not Ending.END:
                        raise self._broken("a process in it survived being killed")
            finally:
                stream.close()
        return exec_id, kept.text(), ending

    def _open(self, arguments: list[str], stdin: bool) -> tuple[str, Stream]:
        """A started exec and its stream."""
        from docker.errors import APIError

        api = self._docker.api
        try:
            exec_id = api.exec_create(self.id, arguments, user=AGENT, workdir="/", stdin=stdin)["Id"]
            return exec_id, Stream(self._docker.socket(), api.api_version, exec_id)
        except (APIError, StreamRefused) as error:
            # The container is gone, or does not run; while it is being removed the engine calls that a fault of its own.
            if error.status_code in (404, 409) or not self.running():
                raise self._ended() from error
            raise

    def _clean(self) -> None:
        """Kill every process of the commands' user; the container is given up where that fails."""
        marker = secrets.token_hex(8)
        for attempt in range(START_TRIES):
            kept = Kept(1000)
            with self._docker.guard(f"a command in container {self.id[:12]}"):
                _, stream = self._open(shell.cleaner(marker), stdin=False)
                try:
                    # not until its end: the engine notes no end while a flooded stream beside it is not read
                    stream.exchange(b"", kept, time.monotonic() + GRACE_S, until=marker.encode())
                finally:
                    stream.close()
            if kept.begins_with(marker.encode()):
                return
            self._demand_running()
            time.sleep(0.25 * 2**attempt)
        raise self._broken(f"its processes cannot be ended: {kept.text().strip()[-300:]}")

    def _exit_code(self, exec_id: str) -> int:
        deadline_s = time.monotonic() + EXIT_CODE_WAIT_S
        while True:
            with self._docker.guard(f"a command in container {self.id[:12]}"):
                state = self._docker.api.exec_inspect(exec_id)
            if not state["Running"] and state["ExitCode"] is not None:
                return int(state["ExitCode"])
            if time.monotonic() > deadline_s:
                return shell.KILLED
            time.sleep(0.005)

    def _demand_running(self) -> None:
        if not self.running():
            raise self._ended()

    def _ended(self) -> SandboxError:
        return SandboxError(
            f"container {self.id[:12]} ended under the episode. Remedy: none needed for one; where many do, look for "
            f"an engine that restarts, or raise sandbox.episode_timeout_s = {self._config.episode_timeout_s:g}"
        )

    def _broken(self, reason: str) -> SandboxBroken:
        self.close()
        return SandboxBroken(f"container {self.id[:12]} was made unusable by its own commands and removed: {reason}")
