"""Bring a tenant to what the ledger's copy holds: add what is missing, refresh what differs, delete what is surplus."""

import uuid
from collections.abc import Callable, Sequence
from typing import NamedTuple

from crl.bank.weaviate.objects import digest_of
from crl.bank.weaviate.tenant import BATCH, Item, Tenant

Items = Callable[[Sequence[uuid.UUID]], list[Item]]


class Differences(NamedTuple):
    """Objects of a tenant against the ledger's entries; after a repair, what was done."""

    missing: int = 0
    changed: int = 0
    surplus: int = 0

    @property
    def total(self) -> int:
        return sum(self)


def differences(tenant: Tenant, ids: Sequence[uuid.UUID], items: Items) -> Differences:
    """Without writing anything."""
    missing, changed, surplus = _compared(tenant, ids, items)
    return Differences(len(missing), len(changed), len(surplus))


def repair(tenant: Tenant, ids: Sequence[uuid.UUID], items: Items) -> Differences:
    """Make the tenant hold exactly these entries.

    Args:
        ids: of all that should be there
        items: what should be written under some ids; leaves out those that left the bank meanwhile
    """
    missing, changed, surplus = _compared(tenant, ids, items)
    stale = [*missing, *changed]
    for start in range(0, len(stale), BATCH):
        tenant.put(items(stale[start : start + BATCH]))
    tenant.delete(surplus)
    return Differences(len(missing), len(changed), len(surplus))


def _compared(
    tenant: Tenant, ids: Sequence[uuid.UUID], items: Items
) -> tuple[list[uuid.UUID], list[uuid.UUID], list[uuid.UUID]]:
    stored = tenant.stored()
    missing = [id_ for id_ in ids if id_ not in stored]
    kept = [id_ for id_ in ids if id_ in stored]
    changed = []
    for start in range(0, len(kept), BATCH):
        for item in items(kept[start : start + BATCH]):
            found = stored[item.id]
            if (digest_of(item.entry, item.vector, item.family), item.counters) != found:
                changed.append(item.id)
    surplus = sorted(stored.keys() - set(ids))
    return missing, changed, surplus
