"""A connection together with the tenant that it serves."""

from dataclasses import dataclass
from pathlib import Path

import weaviate

from crl.bank.weaviate.client import FAULTS, connect, unusable
from crl.bank.weaviate.schema import prepared
from crl.bank.weaviate.tenant import Tenant
from crl.config.addresses import WeaviateAddress
from crl.config.servers import WeaviateConfig
from crl.errors import CrlError


@dataclass(frozen=True)
class Link:
    client: weaviate.WeaviateClient
    tenant: Tenant

    def close(self) -> None:
        self.client.close()


def open_link(address: WeaviateAddress | None, config: WeaviateConfig, folder: Path, tenant: str) -> Link:
    """Connect and see to it that collection and tenant are there. Raises BankError: no server; DataError: see `prepared`."""
    client = connect(address, config, folder)
    try:
        return Link(client, Tenant(prepared(client, config.collection, tenant)))
    except CrlError:
        client.close()
        raise
    except FAULTS as error:
        client.close()
        raise unusable(address, error) from None
