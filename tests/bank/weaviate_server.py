"""A real Weaviate server for tests: started, killed and started again on the same ports and folder."""

import secrets
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from crl.bank.weaviate import serve
from crl.bank.weaviate.index import WeaviateIndex
from crl.bank.weaviate.link import open_link
from crl.config.addresses import WeaviateAddress
from crl.config.servers import WeaviateConfig
from flows.local.process import Running, free_port, http_ok, spawn

FAST = WeaviateConfig(retry_s=0.2, timeout_s=5.0)


@dataclass
class WeaviateServer:
    folder: Path
    port: int = field(default_factory=free_port)
    grpc_port: int = field(default_factory=free_port)
    running: Running | None = None

    @property
    def address(self) -> WeaviateAddress:
        return WeaviateAddress("127.0.0.1", self.port, self.grpc_port, secure=False)

    @property
    def url(self) -> str:
        return f"{self.address.url}?grpc={self.grpc_port}"

    def start(self) -> None:
        argv, environment = serve.command(serve.binary(), self.folder, port=self.port, grpc_port=self.grpc_port)
        health = partial(http_ok, self.address.url + serve.READY_PATH)
        self.running = spawn(
            "weaviate", argv, environment=environment, folder=self.folder, url=self.address.url, health=health,
            wait_s=serve.READY_S,
        )  # fmt: skip

    def kill(self) -> None:
        self.running.kill()

    def index(
        self, dim: int, *, config: WeaviateConfig = FAST, tenant: str | None = None, families: dict[str, str] | None = None
    ) -> WeaviateIndex:  # fmt: skip
        """On a tenant of its own, unless one is named."""
        tenant = tenant or f"t{secrets.token_hex(6)}"
        link = partial(open_link, self.address, config, self.folder, tenant)
        return WeaviateIndex(link, config, dim, tenant=tenant, families=families or {})
