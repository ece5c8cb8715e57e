"""Where servers are and what opens them: addresses by parameter or environment, secrets by environment or file alone.

A secret is CRL_<NAME>, or lies in the file that CRL_<NAME>_FILE names (how containers are given secrets). It is
never part of the parameters, so it reaches no log, record or artifact.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

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
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class MetricsAddress:
    """Where a process of ours listens for whoever collects metrics; port 0: any free one."""

    host: str
    port: int
    source: str  # the parameter or variable that says so


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses that count, after the environment was asked."""

    actor: tuple[str, ...]
    extractor: tuple[str, ...]
    embedder: tuple[str, ...]
    weaviate: WeaviateAddress | None  # None: Weaviate Embedded
    ray: str | None
    metrics: MetricsAddress | None  # None: nobody is answered

    @property
    def of_models(self) -> dict[str, tuple[str, ...]]:
        """Addresses of the servers that hold a model, by its role."""
        return {"actor": self.actor, "extractor": self.extractor, "embedder": self.embedder}


def addresses(config: ServersConfig, environment: Mapping[str, str] = os.environ) -> Addresses:
    """Addresses by parameter, or by environment variable, which wins. Raises ConfigError naming the faulty one."""

    def found(name: str, variable: str) -> tuple[Any, str]:
        if variable in environment:
            return environment[variable], variable
        return getattr(config, name), f"servers.{name}"

    def urls(role: str) -> tuple[str, ...]:
        value, source = found(role, f"CRL_{role.upper()}_URLS")
        if isinstance(value, str):
            value = [url.strip() for url in value.split(",") if url.strip()]
        return tuple(_plain(url, source) for url in value)

    weaviate, ray = found("weaviate", "CRL_WEAVIATE_URL"), found("ray", "CRL_RAY_ADDRESS")
    metrics = found("metrics", "CRL_METRICS_ADDRESS")
    return Addresses(
        actor=urls("actor"),
        extractor=urls("extractor"),
        embedder=urls("embedder"),
        weaviate=_weaviate(*weaviate) if weaviate[0] else None,
        ray=_without_credentials(*ray) if ray[0] else None,
        metrics=_metrics(*metrics) if metrics[0] else None,
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


def _plain(url: str, source: str) -> str:
    """A server's base address without a trailing slash; a path may be part of it (a gateway's), a query not."""
    parts = _http(url, source)
    if parts.query or parts.fragment:
        raise ConfigError(f"{source} = {url!r}: more than an address. Remedy: http://host:port or https://host:port")
    return url.rstrip("/")


def _weaviate(url: str, source: str) -> WeaviateAddress:
    parts = _http(url, source)
    secure, asked = parts.scheme == "https", parse_qs(parts.query, keep_blank_values=True)
    if parts.path.strip("/") or parts.fragment or set(asked) - {"grpc"}:
        raise ConfigError(f"{source} = {url!r}: more than an address. Remedy: {parts.scheme}://host:port?grpc=50051")
    grpc = asked.get("grpc", [str(DEFAULT_GRPC_PORT)])[-1]
    if not (grpc.isascii() and grpc.isdigit() and 0 < int(grpc) < 2**16):
        raise ConfigError(
            f"{source} = {url!r}: grpc = {grpc!r} is no port. Remedy: {parts.scheme}://host:port?grpc=50051"
        )
    return WeaviateAddress(parts.hostname, parts.port or (443 if secure else 8080), int(grpc), secure)


def _metrics(address: str, source: str) -> MetricsAddress:
    _without_credentials(address, source)
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is no number, a broken IPv6 address
        host = port = None
    if host is None or port is None or parts.netloc != address or any(map(str.isspace, address)):
        raise ConfigError(f"{source} = {address!r}: no host and port. Remedy: 127.0.0.1:9464, or port 0 for a free one")
    return MetricsAddress(host, port, source)


def _http(url: str, source: str) -> SplitResult:
    """The parts of an http(s) address whose host and port are sound. Raises ConfigError."""
    _without_credentials(url, source)
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        sound = False
    if not sound or any(character.isspace() for character in url):
        raise ConfigError(f"{source} = {url!r}: no address. Remedy: http://host:port or https://host:port")
    return parts


def _without_credentials(url: str, source: str) -> str:
    """The address itself. Credentials in it are refused without showing them: addresses are logged."""
    if "@" in url:
        raise ConfigError(
            f"{source}: the address at {url.rpartition('@')[2]!r} holds credentials, and addresses are logged. "
            f"Remedy: set the secret in the environment ({', '.join(f'CRL_{name}' for name in SECRETS)})"
        )
    return url
