"""A Weaviate server, the load balancer of a cluster, or a server that the run starts itself (Weaviate Embedded)."""

from pathlib import Path
from typing import TYPE_CHECKING

from crl.config.addresses import addresses
from crl.config.bank import BankConfig
from crl.config.servers import ServersConfig
from crl.errors import ConfigError

if TYPE_CHECKING:  # the client takes a second to import, and is not in every installation
    from crl.bank.weaviate.reader import WeaviateReader
    from crl.bank.weaviate.tenant import Tenant


class WeaviateStore:
    """One tenant of `bank.weaviate.collection` per run."""

    remote, package = True, "weaviate"

    def __init__(self, config: BankConfig, servers: ServersConfig, *, run_id: str, folder: Path) -> None:
        self.config, self.address, self.retry_s = config.weaviate, addresses(servers).weaviate, config.weaviate.retry_s
        self._run_id, self._folder = run_id, folder

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        from crl.bank.weaviate.client import FAULTS

        return FAULTS

    def check_reachable(self) -> None:
        if self.address is None:
            raise ConfigError(
                "servers.weaviate = null: Weaviate Embedded belongs to the run's process, nobody else can reach it. Remedy: give "
                "the address of a server (servers.weaviate or CRL_WEAVIATE_URL), or bank.index: embedded"
            )

    def sink(self) -> "Tenant":
        """Connect and see to it that collection and tenant are there. Raises BankError: no server; DataError: see `prepared`."""
        from crl.bank.weaviate.client import closed_on_fault, connect
        from crl.bank.weaviate.collection import prepared
        from crl.bank.weaviate.tenant import Tenant

        client = connect(self.address, self.config, self._folder)
        with closed_on_fault(client, self.address):
            return Tenant(client, prepared(client, self.config.collection, self._run_id), self._run_id)

    def reader(self) -> "WeaviateReader":
        from crl.bank.weaviate.reader import WeaviateReader

        return WeaviateReader(self.sink, self.config)
