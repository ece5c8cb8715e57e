"""`crl bank index`: the index on a Weaviate server, compared with the ledger, repaired, migrated, saved and restored."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from crl.bank.ledger import Ledger
from crl.bank.lock import writer_lock
from crl.bank.reports import Usage
from crl.cli.bank_folder import DEFAULT_RUN, Run, bank_folder
from crl.config import Config, load
from crl.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="The index on a Weaviate server: status, repair, migration, backup.")
console = Console()

Params = Annotated[Path, typer.Option("--params", help="parameter file: names the server and the collection")]
BackupId = Annotated[str, typer.Argument(help="name of the backup: a-z, 0-9, - and _")]
DEFAULT_PARAMS = Path("params.yaml")


@app.command()
def status(run: Run = DEFAULT_RUN, params: Params = DEFAULT_PARAMS) -> None:
    """Compare a run's objects on the server with its ledger. Exit status 1 when they differ."""
    with _opened(run, params) as (index, tenant):
        found = index.differences()
        console.print(
            f"tenant {tenant}: {len(index.resident.ids())} entries in the ledger; on the server {found.missing} missing, "
            f"{found.changed} changed, {found.surplus} surplus"
        )
    if found.total:
        raise typer.Exit(1)


@app.command()
def repair(run: Run = DEFAULT_RUN, params: Params = DEFAULT_PARAMS) -> None:
    """Make the server hold what a run's ledger holds. A run that is going on does so by itself."""
    lock = writer_lock(bank_folder(run), timeout_s=2.0)
    try:
        with _opened(run, params) as (index, tenant):
            done = index.repair()
    finally:
        lock.release()
    console.print(f"tenant {tenant}: {done.missing} added, {done.changed} refreshed, {done.surplus} deleted")


@app.command()
def migrate(params: Params = DEFAULT_PARAMS) -> None:
    """Bring the collection to this version's schema; each run's next start or repair refreshes its objects."""
    from crl.bank.weaviate import schema

    with _connected(params) as (client, config):
        name = config.bank.weaviate.collection
        added = schema.migrate(client, name)
    console.print(f"{name}: schema {schema.VERSION}, added {', '.join(added) or 'nothing'}")


@app.command()
def backup(backup_id: BackupId, params: Params = DEFAULT_PARAMS) -> None:
    """Save all runs' objects in the server's backup folder."""
    from crl.bank.weaviate.backup import back_up

    with _connected(params) as (client, config):
        back_up(client, config.bank.weaviate.collection, backup_id)
    console.print(f"{config.bank.weaviate.collection} saved as {backup_id}")


@app.command()
def restore(
    backup_id: BackupId,
    params: Params = DEFAULT_PARAMS,
    replace: Annotated[
        bool, typer.Option("--replace", help="drop the collection that is there, with all runs")
    ] = False,
) -> None:
    """Bring a backup back. Then repair the runs that went on since."""
    from crl.bank.weaviate.backup import restore as bring_back

    with _connected(params) as (client, config):
        bring_back(client, config.bank.weaviate.collection, backup_id, replace=replace)
    console.print(f"{config.bank.weaviate.collection} restored from {backup_id}")


@contextmanager
def _connected(params: Path) -> Iterator:
    """A client and the parameters that name its server."""
    from crl.bank.weaviate.client import connect
    from crl.config.addresses import addresses

    config = _config(params)
    client = connect(addresses(config.servers).weaviate, config.bank.weaviate, params.parent)
    try:
        yield client, config
    finally:
        client.close()


@contextmanager
def _opened(run: Path, params: Path) -> Iterator:
    """The index of a run, which knows the ledger's entries and has not compared them yet, and its tenant."""
    from crl.bank.backends import counters, index_of

    config, folder = _config(params), bank_folder(run)
    with closing(Ledger.read_only(folder)) as ledger:
        records, tenant, dim = list(ledger.records()), ledger.meta("run_id"), int(ledger.meta("dim"))
        usages = {r.entry.id: Usage(r.entry.shown, r.entry.last_shown_round) for r in records}
        used = counters(usages, ledger.uses())
    families = {name: entry.family for name, entry in config.tasks.mix.items()}
    make = index_of(config.bank, config.servers, tenant=tenant, folder=folder / "weaviate", families=families)
    index = make(dim)
    try:
        rows: dict[str, list] = {}
        for record in records:
            rows.setdefault(record.entry.task, []).append((record.entry, record.vector))
        index.expect(rows, used)
        yield index, tenant
    finally:
        index.close()


def _config(params: Path) -> Config:
    """Raises ConfigError unless the parameters put the index on a server that runs on its own."""
    from crl.config.addresses import addresses

    config = load(params)
    if config.bank.index != "weaviate" or addresses(config.servers).weaviate is None:
        raise ConfigError(
            f"{params}: bank.index = {config.bank.index!r}, servers.weaviate = {config.servers.weaviate!r}: no server to "
            "look at. Remedy: bank.index: weaviate, and servers.weaviate or CRL_WEAVIATE_URL"
        )
    return config
