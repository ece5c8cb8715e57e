"""Which index a bank has: the embedded one, or one on a server."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from crl.bank.effect import Use
from crl.bank.index import EmbeddedIndex, Hit, Index
from crl.bank.reports import Usage
from crl.config.addresses import addresses
from crl.config.learn import BankConfig
from crl.config.servers import ServersConfig

MakeIndex = Callable[[int], Index]  # takes the width of the vectors


@runtime_checkable
class RemoteIndex(Index, Protocol):
    """An index on a server: it can be lost and repaired, tells others how entries were used, and may search by words."""

    def search(
        self, queries: Mapping[str, np.ndarray], k: int, texts: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, list[list[Hit]]]: ...

    def recount(self, counters: Mapping[str, tuple[int, int, int, int]]) -> None:
        """Shown, last round shown, uses and successes by entry id: what readers elsewhere go by."""
        ...

    def metrics(self) -> dict[str, float]: ...
    def close(self) -> None: ...


def counters(usages: Mapping[str, Usage], uses: Iterable[Use]) -> dict[str, tuple[int, int, int, int]]:
    """What `RemoteIndex.recount` takes, of the entries in `usages`."""
    used, successes = Counter[str](), Counter[str]()
    for use in uses:
        used[use.entry_id] += use.n_guided
        successes[use.entry_id] += use.s_guided
    return {id_: (usage.shown, usage.last_round, used[id_], successes[id_]) for id_, usage in usages.items()}


def close_index(index: Index) -> None:
    """End its connection, where it has one."""
    if isinstance(index, RemoteIndex):
        index.close()


def index_of(
    bank_config: BankConfig, servers: ServersConfig, *, tenant: str, folder: Path, families: Mapping[str, str]
) -> MakeIndex:
    """How to make the index that `bank.index` names.

    Args:
        tenant: the run's lineage
        folder: where Weaviate Embedded keeps its data
        families: environment family by task name
    """
    if bank_config.index == "embedded":
        return EmbeddedIndex
    return partial(_weaviate, bank_config, servers, tenant, folder, families)


def _weaviate(
    bank_config: BankConfig, servers: ServersConfig, tenant: str, folder: Path, families: Mapping[str, str], dim: int
) -> Index:
    from crl.bank.weaviate.index import WeaviateIndex  # a second to import, and not in every installation
    from crl.bank.weaviate.link import open_link

    config = bank_config.weaviate
    link = partial(open_link, addresses(servers).weaviate, config, folder, tenant)
    return WeaviateIndex(link, config, dim, tenant=tenant, families=families)
