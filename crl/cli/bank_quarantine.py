"""`crl bank quarantine` and `release`: what was taken out of circulation, and why; both ways by hand."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crl.bank.ledger import Ledger
from crl.bank.memory import Memory
from crl.bank.records import State
from crl.cli.bank_source import DEFAULT_RUN, Run, bank_folder, config_of, no_entry
from crl.cli.bank_text import effect_text, short
from crl.config.bank import BankConfig
from crl.errors import BankError
from crl.round.rollback import last_commit, move_last_commit
from crl.round.state import StateFolder

if TYPE_CHECKING:  # it needs torch: seconds, for who only lists
    from crl.bank.bank import Bank

console = Console()

EntryId = Annotated[str, typer.Argument(help="an entry's id, or the beginning of it")]
Reason = Annotated[str, typer.Option(help="kept in the ledger")]


def quarantine(
    entry_id: Annotated[str | None, typer.Argument(help="take this entry out of circulation; without it: list")] = None,
    run: Run = DEFAULT_RUN,
    reason: Reason = "by hand",
) -> None:
    """What is in quarantine, since when, why, and with which measured effect; or put an entry there."""
    if entry_id is None:
        _list(run)
        return
    with _writing(run) as (bank, round_):
        id_ = _whole_id(bank, entry_id)
        if not bank.quarantine(id_, reason, round=round_):
            raise BankError(f"{id_}: not in the bank. Remedy: `crl bank show {id_[:8]}` tells where it stands")
    console.print(f"{id_[:8]} is in quarantine: no retrieval returns it, also if its text is written again")


def release(entry_id: EntryId, run: Run = DEFAULT_RUN, reason: Reason = "by hand") -> None:
    """Bring an entry back from quarantine, with all that is known of it. A run goes on with it when it is started again."""
    with _writing(run) as (bank, round_):
        id_ = _whole_id(bank, entry_id)
        if not bank.release(id_, reason, round=round_):
            raise BankError(f"{id_}: not in quarantine. Remedy: `crl bank quarantine` lists what is")
    console.print(f"{id_[:8]} is in the bank again")


def _list(run: Path) -> None:
    with closing(Ledger.read_only(bank_folder(run))) as ledger:
        records = [record for record in ledger.records(live_only=False) if record.state is State.QUARANTINED]
        memory = Memory.read(ledger, records)
        since = {record.entry.id: ledger.event(record.stands_since) for record in records}
    table = Table("id", "task", "round", "effect", "groups", "reason", "text", title=f"{len(records)} in quarantine")
    for record in records:
        entry, event, effect = record.entry, since[record.entry.id], memory.effect(record.entry.id)
        cells = (entry.id[:8], entry.task, str(event.round), effect_text(effect), str(effect.groups if effect else 0))
        table.add_row(*cells, escape(event.detail), escape(short(entry.text)))
    console.print(table)


@contextmanager
def _writing(run: Path) -> Iterator[tuple["Bank", int]]:
    """The bank of a run that does not run, as its last round committed it, and that round.

    What is done to it belongs to that round: a run that goes on has it.
    """
    from crl.bank.bank import Bank
    from crl.embedding.open import load_embedder

    folder = bank_folder(run)
    state = StateFolder(folder.parent, folder.parent.name) if (folder.parent / "run.json").is_file() else None
    config = config_of(run)
    with closing(Ledger.read_only(folder)) as ledger:
        run_id, embedder = ledger.meta("run_id"), load_embedder(ledger.meta("embedder"))
        effect = ledger.effect_config
        round_, position = last_commit(state) if state else (max(0, ledger.rounds()[1]), ledger.position)
    settings, seed = (config.bank, config.run.seed) if config else (BankConfig(effect=effect), 0)
    with closing(Bank(folder, settings, embedder, run_id=run_id, seed=seed, lock_timeout_s=2.0)) as bank:
        bank.truncate_to(position)
        yield bank, round_
        if state:
            move_last_commit(state, bank.position)


def _whole_id(bank: "Bank", entry_id: str) -> str:
    record = bank.ledger.record(entry_id)
    return record.entry.id if record else no_entry(entry_id)
