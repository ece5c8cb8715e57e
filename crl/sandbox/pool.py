"""Fresh containers, from a warm stock where possible."""

import atexit
import threading
import time
from functools import cache

from crl.config.sandbox import SandboxConfig
from crl.sandbox.container import Sandbox
from crl.sandbox.engine import Engine, engine
from crl.sandbox.errors import SandboxError, SandboxUnavailable
from crl.sandbox.images import resolve_on
from crl.sandbox.limits import STOCK_LIFE_S, container_arguments
from crl.sandbox.owner import owner_id, prepare_process


class SandboxPool:
    """Starts containers, keeps `config.warm` started ahead of the image last asked for, removes all it started.

    No container serves two episodes. Making a pool contacts no engine.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._change = threading.Condition()  # guards all below
        self._stock: list[tuple[Sandbox, float]] = []  # with the time of its start
        self._started: set[Sandbox] = set()  # not closed yet
        self._wanted: tuple[Engine, str] | None = None  # what the stock is for
        self._ids: dict[str, str] = {}  # a tag that moves during a run changes nothing
        self._refiller: threading.Thread | None = None
        self._closed = False

    def take(self, image: str | None = None) -> Sandbox:
        """A fresh container of the image; raises SandboxUnavailable without an engine, an image or a start."""
        try:
            docker = engine()
            image_id = self._resolve(docker, image or self._config.image)
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
        self._want(docker, image_id)
        return sandbox

    def close(self) -> None:
        """Remove all its containers. Idempotent. What a lost engine keeps, the reaper or a later sweep removes."""
        with self._change:
            self._closed = True
            self._stock.clear()
            self._change.notify_all()
        if self._refiller is not None:
            self._refiller.join()
        for sandbox in list(self._started):
            sandbox.close()

    def _resolve(self, docker: Engine, image: str) -> str:
        if image not in self._ids:
            self._ids[image] = resolve_on(docker, image)
        return self._ids[image]

    def _from_stock(self, image_id: str) -> Sandbox | None:
        with self._change:
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
            with self._change:
                self._started.add(sandbox)
            try:
                docker.api.start(container_id)
            except BaseException:
                sandbox.close()
                raise
        return sandbox

    def _forget(self, sandbox: Sandbox) -> None:
        with self._change:
            self._started.discard(sandbox)

    def _want(self, docker: Engine, image_id: str) -> None:
        with self._change:
            self._wanted = (docker, image_id)
            if self._config.warm and self._refiller is None and not self._closed:
                self._refiller = threading.Thread(target=self._refill, name="sandbox-stock", daemon=True)
                self._refiller.start()
            self._change.notify_all()

    def _refill(self) -> None:
        """The stock's thread. An error ends its work until the next take, which meets it on its own start."""
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._wanted is not None)
                if self._closed:
                    return
                (docker, image_id), stale = self._wanted, self._stale(self._wanted[1])
                missing = self._config.warm - len(self._stock)
                if missing <= 0:
                    self._wanted = None
            try:
                for sandbox in stale:
                    sandbox.close()
                if missing > 0:
                    sandbox = self._start(docker, image_id)
                    with self._change:
                        self._stock.append((sandbox, time.monotonic()))
            except SandboxError:
                with self._change:
                    self._wanted = None

    def _stale(self, image_id: str) -> list[Sandbox]:
        """Take those of another image, or too old for an episode, out of the stock. Called under the lock."""
        now_s = time.monotonic()
        good = [(s, t) for s, t in self._stock if s.image == image_id and now_s - t < STOCK_LIFE_S]
        stale = [s for s, t in self._stock if (s, t) not in good]
        self._stock = good
        return stale


@cache
def shared_pool(config: SandboxConfig) -> SandboxPool:
    """One per process (and configuration), closed at its exit."""
    pool = SandboxPool(config)
    atexit.register(pool.close)
    return pool
