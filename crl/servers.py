"""Where servers are and what opens them: addresses by parameter or environment, secrets by environment or file alone.

A secret is CRL_<NAME>, or lies in the file that CRL_<NAME>_FILE names (how containers are given secrets). It is
never part of the parameters, so it reaches no log, record or artifact.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from crl.config.servers import ServersConfig
from crl.errors import ConfigError

DEFAULT_GRPC_PORT = 50051
SECRETS = ("WEAVIATE_API_KEY", "VLLM_API_KEY")  # each with the prefix CRL_


@dataclass(frozen=True, slots=True)
class WeaviateAddress:
    """Where a Weaviate server or the load balancer of a cluster answers."""

    host: str
    port: int
    grpc_port: int
    secure: bool  # TLS on both ports

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses that count, after the environment was asked."""

    actor: tuple[str, ...]
    extractor: tuple[str, ...]
    embedder: tuple[str, ...]
    weaviate: WeaviateAddress | None  # None: Weaviate Embedded
    ray: str | None


def addresses(config: ServersConfig, environment: Mapping[str, str] = os.environ) -> Addresses:
    """Addresses by parameter, or by environment variable, which wins. Raises ConfigError naming the faulty one."""

    def urls(name: str) -> tuple[str, ...]:
        variable = f"CRL_{name.upper()}_URLS"
        given = environment.get(variable)
        if given is None:
            return tuple(_http(url, f"servers.{name}") for url in getattr(config, name))
        return tuple(_http(url.strip(), variable) for url in given.split(",") if url.strip())

    weaviate, source = environment.get("CRL_WEAVIATE_URL"), "CRL_WEAVIATE_URL"
    if weaviate is None:
        weaviate, source = config.weaviate, "servers.weaviate"
    return Addresses(
        actor=urls("actor"),
        extractor=urls("extractor"),
        embedder=urls("embedder"),
        weaviate=_weaviate(weaviate, source) if weaviate else None,
        ray=environment.get("CRL_RAY_ADDRESS", config.ray) or None,
    )


def secret(name: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """A secret of `SECRETS`, or None where none is set. Raises ConfigError when its file cannot be read."""
    variable = f"CRL_{name}"
    if value := environment.get(variable):
        return value
    file = environment.get(f"{variable}_FILE")
    if not file:
        return None
    try:
        return Path(file).read_text().strip() or None
    except OSError as error:
        raise ConfigError(
            f"{variable}_FILE = {file!r}: {error.strerror}. Remedy: name a readable file, or unset it"
        ) from None


def _http(url: str, source: str) -> str:
    """The address without a trailing slash. Credentials in it are refused: addresses are logged."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{source} = {url!r}: no address. Remedy: http://host:port or https://host:port")
    if parts.username or parts.password:
        raise ConfigError(
            f"{source}: the address of {parts.hostname} holds credentials, and addresses are logged. "
            f"Remedy: set the secret in the environment ({', '.join(f'CRL_{name}' for name in SECRETS)})"
        )
    return url.rstrip("/")


def _weaviate(url: str, source: str) -> WeaviateAddress:
    parts = urlsplit(_http(url, source))
    secure = parts.scheme == "https"
    grpc = parse_qs(parts.query).get("grpc", [str(DEFAULT_GRPC_PORT)])[0]
    if not grpc.isdigit():
        raise ConfigError(
            f"{source} = {url!r}: grpc = {grpc!r} is no port. Remedy: {parts.scheme}://host:port?grpc=50051"
        )
    return WeaviateAddress(parts.hostname, parts.port or (443 if secure else 8080), int(grpc), secure)
