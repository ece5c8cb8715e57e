"""Vector stores: what `bank.index` names. The run itself always searches its own index; a store serves everybody else.

One file each, found by name (`weaviate.py` holds `WeaviateStore`), by entry point, or as `module:Class`. What a store can do
is declared by its class, which imports without the store's client library.
"""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol

from crl.bank.projector import Projector, Sink
from crl.bank.records import ReadSide, Shown
from crl.config import Config
from crl.config.choices import VECTOR_STORES
from crl.config.learn import BankConfig
from crl.config.servers import ServersConfig


class NodeReader(ReadSide, Protocol):
    """The read side of a bank in a process that holds no ledger: showings are kept for whoever does."""

    shown: list[Shown]  # in the order of the retrievals

    def close(self) -> None: ...


class VectorStore(Protocol):
    """The entries of one run as `bank.index` keeps them for others. Only a remote one is ever opened."""

    remote: ClassVar[bool]  # on a server, which nodes read; else each order to a node carries a snapshot
    package: ClassVar[
        str | None
    ]  # the extra that it needs (requirements/NAME.in), and the name of its check in `crl doctor`
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


def projector_of(config: Config, run_id: str) -> Callable[[Path], Projector] | None:
    """What starts the projector of a run on its bank's folder; None where there is nothing to write to."""
    if not store_class(config.bank.index).remote:
        return None

    def follow(folder: Path) -> Projector:
        store = open_store(
            config.bank, config.servers, run_id=run_id, folder=folder / config.bank.index.replace(":", ".")
        )
        return Projector(folder, store.sink, families_of(config), faults=store.faults, retry_s=store.retry_s)

    return follow


def families_of(config: Config) -> dict[str, str]:
    """Environment family by task name."""
    return {name: entry.family for name, entry in config.tasks.mix.items()}
