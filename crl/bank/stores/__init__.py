"""Vector stores: what `bank.index` names. The run itself always searches its own index; a store serves everybody else.

One file each, found by name (`weaviate.py` holds `WeaviateStore`), by entry point, or as `module:Class`. What a store can do
is declared by its class, which imports without the store's client library.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from crl.bank.effect import Belief
from crl.bank.posterior import NOTHING_KNOWN
from crl.bank.records import ReadSide, Record, Showings, body_digest
from crl.config.bank import BankConfig
from crl.config.choices import VECTOR_STORES
from crl.config.servers import ServersConfig


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """What a server holds of a live entry."""

    record: Record  # the entry, its counters, its key, and its number: of equally near entries the highest counts
    family: str  # environment family of its task; "" where unknown

    @property
    def digest(self) -> str:
        """Of all of it: another digest is another item."""
        record, entry = self.record, self.record.entry
        counters = f"{entry.shown}.{entry.last_shown_round}.{entry.written}.{record.used}.{record.successes}"
        return f"{body_digest(entry, record.vector)}:{record.number}:{self.family}:{counters}"


class Sink(Protocol):
    """Where the entries of one run are written to. Methods raise one of the store's `faults` when the server fails."""

    def mark(self) -> str:
        """What was noted last; empty when nothing was."""
        ...

    def note(self, mark: str) -> None:
        """Remember how far the server's content reaches."""
        ...

    def put(self, items: Sequence[Item]) -> None:
        """Write items, replacing those of the same entries; when it returns, readers find them."""
        ...

    def delete(self, entry_ids: Sequence[str]) -> None:
        """Delete entries; those that are not there are none."""
        ...

    def stored(self) -> dict[str, str]:
        """Digest by entry id of everything that is there."""
        ...

    def close(self) -> None: ...


_UNKNOWN = Belief(NOTHING_KNOWN.mean, NOTHING_KNOWN.unseen_sd)


class NodeReader(Showings, ReadSide):
    """The read side of a bank in a process that holds no ledger: showings are kept in `shown` for whoever does.

    Beliefs are those of the run, as it told them last; of an entry that came since nothing is known.
    """

    def __init__(self) -> None:
        super().__init__()
        self._beliefs: Mapping[str, Belief] = {}

    def learn(self, beliefs: Mapping[str, Belief]) -> None:
        """What the run believes of its entries, by id."""
        self._beliefs = beliefs

    def belief(self, entry_id: str) -> Belief:
        return self._beliefs.get(entry_id, _UNKNOWN)

    def flush(self) -> None:
        """Nothing is written here."""

    def close(self) -> None:
        """Nothing is held open."""


class VectorStore(Protocol):
    """The entries of one run as `bank.index` keeps them for others. Only a remote one is ever opened."""

    remote: ClassVar[bool]  # on a server, which nodes read; else each order to a node carries a snapshot
    package: ClassVar[str | None]  # the extra that it needs (requirements/NAME.in), and its check in `crl doctor`
    retry_s: float  # pause between tries to reach a server that was lost

    def __init__(self, config: BankConfig, servers: ServersConfig, *, run_id: str, folder: Path) -> None:
        """Connects to nothing. `folder` is for what it keeps beside the ledger."""
        ...

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        """What a lost or confused server raises."""
        ...

    def check_reachable(self) -> None:
        """Raises ConfigError where processes other than the run's cannot reach it."""
        ...

    def sink(self) -> Sink:
        """The write side, connected. Raises BankError: no usable server."""
        ...

    def reader(self) -> NodeReader:
        """The read side, connected. Raises BankError: no usable server."""
        ...


def store_class(index: str) -> type[VectorStore]:
    """The class that `bank.index` names. Raises ConfigError."""
    return VECTOR_STORES.load(index, "bank.index")


def open_store(config: BankConfig, servers: ServersConfig, *, run_id: str, folder: Path) -> VectorStore | None:
    """The remote store of a run; None where `bank.index` has nothing outside the run."""
    made = store_class(config.index)
    return made(config, servers, run_id=run_id, folder=folder) if made.remote else None
