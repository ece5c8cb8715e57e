"""The Docker engine that DOCKER_HOST names, and the typed errors for what it refuses."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from crl.sandbox.errors import SandboxError, SandboxUnavailable

DEFAULT_HOST = "unix:///var/run/docker.sock"
API_TIMEOUT_S = 60.0  # of one request other than a command's stream; a start takes 0.4 s unloaded
REMEDY = "Remedy: start it (docker/engine.sh does on Debian), or set DOCKER_HOST; environments without containers run as they are"


class Engine:
    """One engine. Clients are made per thread: a requests session is not safe to share."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._local = threading.local()
        if urlsplit(host).scheme not in ("unix", "tcp", "http"):
            raise SandboxUnavailable(
                f"DOCKER_HOST={host!r} is neither a unix:// nor a tcp:// address. Remedy: name the engine's socket"
            )

    @property
    def api(self) -> Any:
        """This thread's `docker.APIClient`; raises SandboxUnavailable where no engine answers."""
        if not hasattr(self._local, "api"):
            self._local.api = self._connect()
        return self._local.api

    def _connect(self) -> Any:
        try:
            import docker
        except ImportError as error:
            raise SandboxUnavailable(
                f"the package 'docker' is missing ({error}). Remedy: pip install 'crl[swe]' (= make install)"
            ) from error
        try:
            return docker.APIClient(base_url=self.host, version="auto", timeout=API_TIMEOUT_S)
        except docker.errors.DockerException as error:
            raise SandboxUnavailable(f"no Docker engine answers at {self.host}: {error}. {REMEDY}") from error

    def socket(self) -> socket.socket:
        """A fresh connection for a stream that the HTTP client cannot carry (a hijacked exec)."""
        address = urlsplit(self.host)
        if address.scheme == "unix":
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(API_TIMEOUT_S)
            connection.connect(address.path)
            return connection
        return socket.create_connection((address.hostname, address.port or 2375), timeout=API_TIMEOUT_S)

    def remove(self, container_id: str) -> None:
        """Remove a container, running or not; one that is gone, or being removed by another, is no error."""
        from docker.errors import APIError

        with self.guard(f"removing container {container_id[:12]}"):
            try:
                self.api.remove_container(container_id, force=True, v=True)
            except APIError as error:
                if error.status_code not in (404, 409):
                    raise

    @contextmanager
    def guard(self, doing: str, kind: type[SandboxError] = SandboxError) -> Iterator[None]:
        """Turn the errors of the client and of the connection into errors of this kind."""
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException

        try:
            yield
        except APIError as error:
            reason = error.explanation or str(error)
            raise kind(f"{doing}: the Docker engine answered {error.status_code}: {reason}") from error
        except (DockerException, RequestException, OSError) as error:
            raise kind(f"{doing}: the Docker engine at {self.host} was lost: {error}. {REMEDY}") from error


@cache
def _engine_at(host: str) -> Engine:
    return Engine(host)


def engine() -> Engine:
    """The engine of this process's environment; no contact is made yet."""
    return _engine_at(os.environ.get("DOCKER_HOST") or DEFAULT_HOST)
