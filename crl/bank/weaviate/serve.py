"""How a Weaviate server is started: its command line, its environment, and where its program is.

One node with everything under one folder. All ports are chosen, also those that only the node itself uses (gossip, data,
raft): their defaults would collide with a second server on the same machine.
"""

import os
import shutil
import socket
from pathlib import Path

from crl.errors import ConfigError

VERSION = "1.38.11"
BINARY_VARIABLE = "CRL_WEAVIATE_BINARY"
LOCAL_BINARY = Path(".servers/bin/weaviate-server")
READY_PATH = "/v1/.well-known/ready"
READY_S = 120.0  # 10 s on a quiet machine


def binary() -> Path:
    """The server's program: CRL_WEAVIATE_BINARY, what docker/weaviate.sh built, or one on the PATH. Raises ConfigError."""
    named = os.environ.get(BINARY_VARIABLE)
    if named:
        if not os.access(named, os.X_OK):
            raise ConfigError(f"{BINARY_VARIABLE} = {named!r}: no such program. Remedy: name one, or unset it")
        return Path(named).resolve()
    if os.access(LOCAL_BINARY, os.X_OK):
        return LOCAL_BINARY.resolve()
    if found := shutil.which("weaviate-server") or shutil.which("weaviate"):
        return Path(found).resolve()
    raise ConfigError(
        f"no Weaviate server: neither {BINARY_VARIABLE}, nor {LOCAL_BINARY}, nor weaviate-server on the PATH. "
        "Remedy: docker/weaviate.sh builds it (needs go), or set servers.weaviate to a server's address"
    )


def command(
    binary: Path, folder: Path, *, port: int, grpc_port: int, log_level: str = "info"
) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of a server that keeps its data and backups under `folder`.

    Everybody on this machine may use it; docker/weaviate/start.sh starts one that asks for a key.
    """
    argv = [str(binary), "--host", "127.0.0.1", "--port", str(port), "--scheme", "http"]
    return argv, environment(folder, log_level=log_level) | {"GRPC_PORT": str(grpc_port)}


def environment(folder: Path, *, log_level: str = "info") -> dict[str, str]:
    """All settings but the two ports that clients use."""
    folder = folder.resolve()
    gossip, raft, raft_rpc, metrics = _neighbours(), *(free_port() for _ in range(3))
    return {
        "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
        "PERSISTENCE_DATA_PATH": str(folder / "data"),
        "ENABLE_MODULES": "backup-filesystem",
        "BACKUP_FILESYSTEM_PATH": str(folder / "backups"),
        "DEFAULT_VECTORIZER_MODULE": "none",
        "AUTOSCHEMA_ENABLED": "false",  # the schema is ours: a misspelt property is an error
        "ASYNC_INDEXING": "false",  # a write is searchable when it returns
        "DISABLE_TELEMETRY": "true",
        "GO_PROFILING_DISABLE": "true",
        "PROMETHEUS_MONITORING_PORT": str(metrics),
        "LIMIT_RESOURCES": "true",
        "LOG_LEVEL": log_level,
        "CLUSTER_HOSTNAME": "node1",
        "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
        "CLUSTER_GOSSIP_BIND_PORT": str(gossip),
        "CLUSTER_DATA_BIND_PORT": str(gossip + 1),  # the server demands neighbours
        "RAFT_BOOTSTRAP_EXPECT": "1",
        "RAFT_PORT": str(raft),
        "RAFT_INTERNAL_RPC_PORT": str(raft_rpc),
        "RAFT_JOIN": f"node1:{raft}",
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _neighbours() -> int:
    """The first of two free ports side by side."""
    while True:
        first = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", first + 1))
            except OSError:
                continue
            return first
