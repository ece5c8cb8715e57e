"""A real Weaviate server for tests: started, killed and started again on the same ports and folder."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from crl.bank.projector import Projector
from crl.bank.stores.weaviate import WeaviateStore
from crl.bank.weaviate import serve
from crl.config.addresses import WeaviateAddress
from crl.config.bank import BankConfig
from crl.config.servers import ServersConfig, WeaviateConfig
from flows.local.process import Launch, Running, free_port, spawn

FAST = WeaviateConfig(retry_s=0.2, timeout_s=60.0)  # a slow machine answers late, and is no lost server
FAMILIES = {"maze": "minihack"}


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
        launch = Launch(argv, environment, wait_s=serve.READY_S)
        self.running = spawn("weaviate", launch, folder=self.folder, port=self.port, health=serve.READY_PATH)

    def kill(self) -> None:
        self.running.kill()

    def store(self, run_id: str, config: WeaviateConfig = FAST) -> WeaviateStore:
        bank = BankConfig(index="weaviate", weaviate=config)
        return WeaviateStore(bank, ServersConfig(weaviate=self.url), run_id=run_id, folder=self.folder)

    def follow(self, run_id: str, config: WeaviateConfig = FAST) -> Callable[[Path], Projector]:
        """What starts the projector of a bank."""
        store = self.store(run_id, config)
        return lambda folder: Projector(folder, store, FAMILIES)
