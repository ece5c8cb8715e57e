"""The collection of all runs' entries, one tenant per run: how it is made, brought up to date, saved and restored.

Vectors are ours and of unit length, so the dot product is the cosine. Search is flat: every entry of a scope is compared.
A graph (HNSW) finds none of 200 different keys beside 4,000 identical ones, and tasks repeat their situations exactly.
Only the texts are indexed for keywords. The collection's description carries the schema's version.

A backup lies in the server's own folder (filesystem backend). It saves the time of writing everything again; what the
entries are is in each run's ledger.
"""

import re
from collections.abc import Callable

import weaviate
from weaviate.classes.config import Configure, DataType, Property, Reconfigure, Tokenization, VectorDistances
from weaviate.classes.tenants import Tenant
from weaviate.collections import Collection

from crl.bank.weaviate.client import FAULTS, one_line
from crl.errors import BankError, DataError

VERSION = 3
_DESCRIPTION = "Experience bank of crl, one tenant per run; schema {}"
_BACKEND = "filesystem"
ALWAYS_FLAT = 2**31 - 1  # entries of a scope below which an HNSW index compares with each of them


def properties() -> list[Property]:
    """What each object carries; a later version may only add to them."""
    label = {"data_type": DataType.TEXT, "tokenization": Tokenization.FIELD, "index_searchable": False}
    words = {"data_type": DataType.TEXT, "tokenization": Tokenization.WORD, "index_filterable": False}
    kinds = {
        ("entry_id", "task", "family", "completion", "episode", "purpose", "digest", "key"): label,
        ("text", "key_text"): words,
        ("round", "format", "shown", "last_shown_round", "written", "used", "successes", "number"): {
            "data_type": DataType.INT
        },
        ("parents",): label | {"data_type": DataType.TEXT_ARRAY},
    }
    return [Property(name=name, **kind) for names, kind in kinds.items() for name in names]


def prepared(client: weaviate.WeaviateClient, name: str, tenant: str) -> Collection:
    """The tenant, created if missing, in a collection of the current schema. Raises DataError: a newer or alien one."""
    if not client.collections.exists(name):
        _create(client, name)
    migrate(client, name)
    collection = client.collections.get(name)
    if not collection.tenants.exists(tenant):
        collection.tenants.create([Tenant(name=tenant)])
    return collection.with_tenant(tenant)


def _create(client: weaviate.WeaviateClient, name: str) -> None:
    client.collections.create(
        name,
        description=_DESCRIPTION.format(VERSION),
        properties=properties(),
        multi_tenancy_config=Configure.multi_tenancy(enabled=True),
        vector_config=Configure.Vectors.self_provided(
            vector_index_config=Configure.VectorIndex.flat(distance_metric=VectorDistances.DOT)
        ),
    )


def version_of(client: weaviate.WeaviateClient, name: str) -> int:
    """The schema version of a collection. Raises DataError where it is not ours."""
    if not client.collections.exists(name):
        raise DataError(f"bank.weaviate.collection = {name!r}: not on this server. Remedy: a run creates it")
    description = client.collections.get(name).config.get().description or ""
    found = re.fullmatch(_DESCRIPTION.format(r"(\d+)"), description)
    if not found:
        raise DataError(
            f"bank.weaviate.collection = {name!r}: a collection that is not crl's ({description!r}). "
            "Remedy: choose another name"
        )
    return int(found[1])


def migrate(client: weaviate.WeaviateClient, name: str) -> list[str]:
    """Add the properties that an older collection lacks; returns their names. Raises DataError for a newer one.

    A collection of schema 1 keeps its graph, which is no longer asked. Objects are brought up to date by each run's
    projector, or by a repair.
    """
    version = version_of(client, name)
    if version > VERSION:
        raise DataError(
            f"bank.weaviate.collection = {name!r}: schema {version}, this version of crl writes {VERSION}. "
            "Remedy: use the crl version that wrote it, or choose another collection"
        )
    config = client.collections.get(name).config
    present = {item.name for item in config.get().properties}
    added = [item for item in properties() if item.name not in present]
    for item in added:
        config.add_property(item)
    if version == 1:
        flat = Reconfigure.VectorIndex.hnsw(flat_search_cutoff=ALWAYS_FLAT)
        config.update(vector_config=Reconfigure.Vectors.update(name="default", vector_index_config=flat))
    if version < VERSION:
        config.update(description=_DESCRIPTION.format(VERSION))
    return [item.name for item in added]


def back_up(client: weaviate.WeaviateClient, collection: str, backup_id: str) -> None:
    """All tenants of the collection. Raises BankError."""
    _check(backup_id)
    _done("backup", backup_id, client.backup.create, collection)


def restore(client: weaviate.WeaviateClient, collection: str, backup_id: str, *, replace: bool) -> None:
    """Bring back all tenants as they were. Raises BankError, also when the collection is there and not to be replaced."""
    _check(backup_id)
    if client.collections.exists(collection):
        if not replace:
            raise BankError(
                f"bank.weaviate.collection = {collection!r} exists: restoring would replace the entries of all its runs. "
                "Remedy: --replace when that is meant, then `crl bank index repair` for runs that went on since"
            )
        client.collections.delete(collection)
    _done("restore", backup_id, client.backup.restore, collection)


def _check(backup_id: str) -> None:
    if not re.fullmatch(r"[a-z0-9_-]+", backup_id):
        raise BankError(f"backup {backup_id!r}: a name is made of a-z, 0-9, - and _. Remedy: choose such a name")


def _done(what: str, backup_id: str, action: Callable, collection: str) -> None:
    try:
        action(backup_id, _BACKEND, include_collections=[collection], wait_for_completion=True)
    except FAULTS as error:
        raise BankError(
            f"{what} {backup_id!r}: {one_line(error)}. Remedy: enable the server's module backup-filesystem (`make servers` "
            "does), choose a name that is not taken, and look at the server's log"
        ) from None
