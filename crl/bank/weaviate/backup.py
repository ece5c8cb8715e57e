"""Backups of the collection in the server's own folder (filesystem backend), and what a restore replaces.

A backup saves the time of writing everything again; what the entries are is in each run's ledger.
"""

import re
from collections.abc import Callable

import weaviate

from crl.bank.weaviate.client import FAULTS, one_line
from crl.errors import BankError

_BACKEND = "filesystem"
_ID = re.compile(r"[a-z0-9_-]+")


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
    if not _ID.fullmatch(backup_id):
        raise BankError(f"backup {backup_id!r}: a name is made of a-z, 0-9, - and _. Remedy: choose such a name")


def _done(what: str, backup_id: str, action: Callable, collection: str) -> None:
    try:
        action(backup_id, _BACKEND, include_collections=[collection], wait_for_completion=True)
    except FAULTS as error:
        raise BankError(
            f"{what} {backup_id!r}: {one_line(error)}. Remedy: enable the server's module backup-filesystem (`make servers` "
            "does), choose a name that is not taken, and look at the server's log"
        ) from None
