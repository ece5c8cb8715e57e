"""`crl bank index`: a run's entries on a server, compared with the ledger and repaired; a Weaviate migrated and saved."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from crl.bank.connection import writer_lock
from crl.bank.ledger import Ledger
from crl.bank.projector import Projection, families_of
from crl.bank.stores import VectorStore, open_store
from crl.bank.stores.weaviate import WeaviateStore
from crl.cli.bank_source import DEFAULT_RUN, Run, bank_folder
from crl.config import Config, load
from crl.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="What `bank.index` keeps on a server: status, repair, migration, backup.")
console = Console()

Params = Annotated[Path, typer.Option("--params", help="parameter file: names the server and the collection")]
BackupId = Annotated[str, typer.Argument(help="name of the backup: a-z, 0-9, - and _")]
DEFAULT_PARAMS = Path("params.yaml")


@app.command()
def status(run: Run = DEFAULT_RUN, params: Params = DEFAULT_PARAMS) -> None:
    """Compare a run's entries on the server with its ledger. Exit status 1 when they differ."""
    with _projection(run, params) as (projection, run_id):
        found = projection.differences()
        console.print(
            f"run {run_id}: {found.missing} entries missing on the server, {found.changed} changed, {found.surplus} surplus"
        )
    if found.total:
        raise typer.Exit(1)


@app.command()
def repair(run: Run = DEFAULT_RUN, params: Params = DEFAULT_PARAMS) -> None:
    """Make the server hold what a run's ledger holds. A run that is going on does so by itself."""
    with writer_lock(bank_folder(run), timeout_s=2.0), _projection(run, params) as (projection, run_id):
        done = projection.repair()
    console.print(f"run {run_id}: {done.missing} added, {done.changed} refreshed, {done.surplus} deleted")


@app.command()
def migrate(params: Params = DEFAULT_PARAMS) -> None:
    """Weaviate: bring the collection to this version's schema; runs then refresh their objects by themselves."""
    from crl.bank.weaviate.collection import VERSION, migrate

    with _weaviate(params) as (client, collection):
        added = migrate(client, collection)
    console.print(f"{collection}: schema {VERSION}, added {', '.join(added) or 'nothing'}")


@app.command()
def backup(backup_id: BackupId, params: Params = DEFAULT_PARAMS) -> None:
    """Weaviate: save all runs' objects in the server's backup folder."""
    from crl.bank.weaviate.collection import back_up

    with _weaviate(params) as (client, collection):
        back_up(client, collection, backup_id)
    console.print(f"{collection} saved as {backup_id}")


@app.command()
def restore(
    backup_id: BackupId,
    params: Params = DEFAULT_PARAMS,
    replace: Annotated[
        bool, typer.Option("--replace", help="drop the collection that is there, with all runs")
    ] = False,
) -> None:
    """Weaviate: bring a backup back. Runs that went on since catch up at their next start, or by `repair`."""
    from crl.bank.weaviate.collection import restore as bring_back

    with _weaviate(params) as (client, collection):
        bring_back(client, collection, backup_id, replace=replace)
    console.print(f"{collection} restored from {backup_id}")


@contextmanager
def _projection(run: Path, params: Path) -> Iterator[tuple[Projection, str]]:
    """A run's ledger, read only, with its store, and the run's id."""
    config, folder = load(params), bank_folder(run)
    with closing(Ledger.read_only(folder)) as ledger:
        run_id = ledger.meta("run_id")
        with closing(_store(config, params, run_id).sink()) as sink:
            yield Projection(ledger, sink, families_of(config)), run_id


@contextmanager
def _weaviate(params: Path) -> Iterator[tuple]:
    """A client of the server that the parameters name, and the name of the collection."""
    store = _store(load(params), params, "")
    if not isinstance(store, WeaviateStore):
        raise ConfigError(f"{params}: bank.index is no Weaviate. Remedy: save and migrate it with its own tools")
    from crl.bank.weaviate.client import connect

    with closing(connect(store.address, store.config, params.parent)) as client:
        yield client, store.config.collection


def _store(config: Config, params: Path, run_id: str) -> VectorStore:
    """Raises ConfigError unless the parameters name a store that this process can reach."""
    store = open_store(config.bank, config.servers, run_id=run_id, folder=params.parent)
    if store is None:
        raise ConfigError(
            f"{params}: bank.index = {config.bank.index!r}: no server to look at. Remedy: bank.index: weaviate, and "
            "servers.weaviate or CRL_WEAVIATE_URL"
        )
    store.check_reachable()
    return store
