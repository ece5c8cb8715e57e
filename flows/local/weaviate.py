"""A Weaviate server from what the machine has: a program, else Docker, else the program that Weaviate Embedded downloads."""

import hashlib
import os
import shutil
import subprocess
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from crl.bank.weaviate import serve
from crl.errors import ConfigError
from flows.local.process import Launch, Running, free_port
from flows.local.server import LocalServer

IMAGE_VARIABLE = "CRL_WEAVIATE_IMAGE"
_IMAGE = f"semitechnologies/weaviate:{serve.VERSION}"
_PULL_S = 600.0  # the image is fetched where the engine does not hold it
_DATA = "/var/lib/weaviate"  # in the container
_GRPC_PORT = 50051  # Weaviate's own; in the container, and wanted outside


class Weaviate(LocalServer):
    """One node with its data under `home`/weaviate; anonymous, on 127.0.0.1 alone."""

    name = "weaviate"
    port = 8080
    variable = "CRL_WEAVIATE_URL"
    health = serve.READY_PATH

    def lacking(self) -> str | None:
        if _program() or _docker("version") or find_spec("weaviate"):
            return None
        return (
            "no Weaviate server program, no Docker engine, no weaviate-client to download one. "
            "Remedy: docker/weaviate.sh builds the program (needs go), or make cluster"
        )

    def start(self, port: int | None = None) -> Running:
        if self.started():
            self._remove_container()
        return super().start(port)

    def stop(self) -> bool:
        ran = super().stop()
        self._remove_container()
        return ran

    def launch(self, port: int) -> Launch:
        grpc_port = free_port(self._grpc_port_before())
        program = _program()
        if program is None and _docker("version"):
            return self._from_image(port, grpc_port)
        argv, environment = serve.command(
            program or self._downloaded(), self._data, port=port, grpc_port=grpc_port, log_level="warning"
        )
        return Launch(argv, environment, query=f"?grpc={grpc_port}", wait_s=serve.READY_S)

    def _from_image(self, port: int, grpc_port: int) -> Launch:
        """`docker run` in the foreground, so that the process stands for its container."""
        environment = serve.environment(self._data, log_level="warning") | {
            "PERSISTENCE_DATA_PATH": f"{_DATA}/data",
            "BACKUP_FILESYSTEM_PATH": f"{_DATA}/backups",
            "GRPC_PORT": str(_GRPC_PORT),
        }
        self._data.mkdir(parents=True, exist_ok=True)
        argv = ["docker", "run", "--rm", "--init", "--name", self._container, "--user", f"{os.getuid()}:{os.getgid()}"]
        argv += ["-v", f"{self._data}:{_DATA}", *(part for name in sorted(environment) for part in ("--env", name))]
        argv += ["-p", f"127.0.0.1:{port}:8080", "-p", f"127.0.0.1:{grpc_port}:{_GRPC_PORT}"]
        argv += [os.environ.get(IMAGE_VARIABLE, _IMAGE), "--host", "0.0.0.0", "--port", "8080", "--scheme", "http"]
        return Launch(argv, environment, query=f"?grpc={grpc_port}", wait_s=_PULL_S, own_port=False)

    def _downloaded(self) -> Path:
        """The program that Weaviate Embedded would run, fetched by its client. Raises RuntimeError."""
        from weaviate.embedded import EmbeddedOptions, EmbeddedV4

        folder = (self.home / "bin").resolve()
        options = EmbeddedOptions(str(self._data), str(folder), serve.VERSION)
        try:
            EmbeddedV4(options).ensure_weaviate_binary_exists()
        except OSError as error:
            raise RuntimeError(
                f"Weaviate {serve.VERSION} cannot be downloaded ({error}). Remedy: docker/weaviate.sh builds it (needs go), "
                f"or {serve.BINARY_VARIABLE} names a program"
            ) from None
        [program] = folder.glob(f"weaviate-v{serve.VERSION}-*")
        return program

    def _grpc_port_before(self) -> int:
        before = self.started()
        return int(urlsplit(before.url).query.partition("=")[2]) if before else _GRPC_PORT

    def _remove_container(self) -> None:
        """One whose client was killed goes on without it, and holds the ports."""
        _docker("rm", "--force", self._container)

    @property
    def _data(self) -> Path:
        return (self.home / "weaviate").resolve()

    @property
    def _container(self) -> str:
        return f"crl-weaviate-{hashlib.sha256(str(self._data).encode()).hexdigest()[:8]}"


def _program() -> Path | None:
    """The server's program, if there is one. Raises ConfigError when the environment names one that is not there."""
    try:
        return serve.binary()
    except ConfigError:
        if os.environ.get(serve.BINARY_VARIABLE):
            raise
        return None


def _docker(*arguments: str) -> bool:
    """Whether Docker's client is here, its engine answers, and it did this."""
    if not shutil.which("docker"):
        return False
    with suppress(subprocess.TimeoutExpired):
        return subprocess.run(("docker", *arguments), capture_output=True, timeout=60, check=False).returncode == 0
    return False
