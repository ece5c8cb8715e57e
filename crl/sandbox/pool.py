"""Fresh containers, from a warm stock where possible."""

import atexit
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache

from crl.config.sandbox import SandboxConfig
from crl.sandbox.container import Sandbox
from crl.sandbox.engine import Engine, engine
from crl.sandbox.errors import SandboxError, SandboxUnavailable
from crl.sandbox.images import resolve
from crl.sandbox.limits import STOCK_LIFE_S, container_arguments
from crl.sandbox.owner import owner_id, prepare_process


class SandboxPool:
    """Starts containers, keeps `config.warm` started ahead of the image last asked for, removes all it started.

    No container serves two episodes. Making a pool contacts no engine.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._lock = threading.Lock()  # guards all below
        self._stock: list[tuple[Sandbox, float]] = []  # with the time of its start
        self._started: set[Sandbox] = set()  # not closed yet
        self._wanted = ""  # the image that the stock is for
        self._ids: dict[str, str] = {}  # a tag that moves during a run changes nothing
        self._refiller = ThreadPoolExecutor(1, "sandbox-stock")  # its thread starts with the first refill
        self._closed = False

    def take(self, image: str | None = None) -> Sandbox:
        """A fresh container of the image; raises SandboxUnavailable without an engine, an image or a start."""
        try:
            docker, name = engine(), image or self._config.image
            if name not in self._ids:
                self._ids[name] = resolve(docker, name)
            image_id = self._ids[name]
            prepare_process(docker)
            sandbox = self._from_stock(image_id)
            while sandbox is not None and not sandbox.running():  # killed while it waited
                sandbox.close()
                sandbox = self._from_stock(image_id)
            sandbox = sandbox or self._start(docker, image_id)
        except SandboxUnavailable:
            raise
        except SandboxError as error:
            raise SandboxUnavailable(f"no container could be started: {error}") from error
        with self._lock:
            self._wanted = image_id
            if self._config.warm and not self._closed:
                self._refiller.submit(self._refill, docker, image_id)
        return sandbox

    def close(self) -> None:
        """Remove all its containers. Idempotent. What a lost engine keeps, the reaper or a later sweep removes."""
        with self._lock:
            self._closed = True
            self._stock.clear()
        self._refiller.shutdown(cancel_futures=True)
        for sandbox in list(self._started):
            sandbox.close()

    def _from_stock(self, image_id: str) -> Sandbox | None:
        with self._lock:
            for place, (sandbox, started_s) in enumerate(self._stock):
                if sandbox.image == image_id and time.monotonic() - started_s < STOCK_LIFE_S:
                    del self._stock[place]
                    return sandbox
        return None

    def _start(self, docker: Engine, image_id: str) -> Sandbox:
        with docker.guard(f"starting a container of {image_id[:19]}"):
            arguments = container_arguments(image_id, owner_id(), self._config)
            arguments["host_config"] = docker.api.create_host_config(**arguments["host_config"])
            container_id = docker.api.create_container(**arguments)["Id"]
            sandbox = Sandbox(docker, container_id, image_id, self._config, self._forget)
            with self._lock:
                self._started.add(sandbox)
            try:
                docker.api.start(container_id)
            except BaseException:
                sandbox.close()
                raise
        return sandbox

    def _forget(self, sandbox: Sandbox) -> None:
        with self._lock:
            self._started.discard(sandbox)

    def _refill(self, docker: Engine, image_id: str) -> None:
        """After a take, in the stock's thread. An error ends it: the next take meets it on its own start."""
        with suppress(SandboxError):
            for sandbox in self._take_stale():
                sandbox.close()
            while image_id == self._wanted and len(self._stock) < self._config.warm and not self._closed:
                sandbox = self._start(docker, image_id)
                with self._lock:
                    self._stock.append((sandbox, time.monotonic()))

    def _take_stale(self) -> list[Sandbox]:
        """Take those of another image, or too old for an episode, out of the stock."""
        with self._lock:
            now_s = time.monotonic()
            good = [(s, t) for s, t in self._stock if s.image == self._wanted and now_s - t < STOCK_LIFE_S]
            stale = [s for s, t in self._stock if (s, t) not in good]
            self._stock = good
        return stale


@cache
def shared_pool(config: SandboxConfig) -> SandboxPool:
    """One per process (and configuration), closed at its exit."""
    pool = SandboxPool(config)
    atexit.register(pool.close)
    return pool
