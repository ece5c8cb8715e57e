"""`crl bank`: look into a run's experience bank, also while the run is going on; undo rounds of it."""

import datetime
import difflib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crl.bank.audit import audit
from crl.bank.connection import writer_lock
from crl.bank.ledger import Ledger
from crl.bank.records import Kind, Record
from crl.cli import bank_age, bank_contest, bank_import, bank_index, bank_page, bank_quarantine
from crl.cli.bank_source import DEFAULT_RUN, Contents, Run, bank_folder, ledger_folder, no_entry
from crl.cli.bank_text import effect_text, lineage, short, standing, written
from crl.errors import BankError, DataError
from crl.round.rollback import forget_after, position_in, position_of
from crl.round.state import StateFolder

app = typer.Typer(no_args_is_help=True, help="Look into a run's experience bank, or roll it back.")
app.add_typer(bank_index.app, name="index")
app.command()(bank_age.age)
app.command()(bank_contest.contest)
app.command("import")(bank_import.import_bank)
app.command()(bank_page.page)
app.command()(bank_quarantine.quarantine)
app.command()(bank_quarantine.release)
console = Console()

EntryId = Annotated[str, typer.Argument(help="an entry's id, or the beginning of it")]


class Order(StrEnum):
    EFFECT = "effect"
    SHOWN = "shown"
    CREATED = "created"


@contextmanager
def _reading(run: Path) -> Iterator[Ledger]:
    with closing(Ledger.read_only(bank_folder(run))) as ledger:
        yield ledger


@app.command("ls")
def list_entries(
    run: Run = DEFAULT_RUN,
    order: Annotated[Order, typer.Option(help="highest or newest first")] = Order.EFFECT,
    scope: Annotated[str | None, typer.Option(help="only this task's table")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 30,
) -> None:
    """Entries of the bank with their measured effect: guided minus free success where they were retrieved."""
    bank = Contents.read(run)
    records = bank.of_scope(scope)
    keys = {
        Order.EFFECT: lambda record: bank.known.belief(record.entry.id).mean,
        Order.SHOWN: lambda record: record.entry.shown,
        Order.CREATED: lambda record: record.number,
    }
    names = ("id", "task", "effect", "groups", "shown", "written", "text")
    table = Table(*names, title=f"{len(records)} entries")
    for record in sorted(records, key=keys[order], reverse=True)[:limit]:
        entry, effect = record.entry, bank.known.effect(record.entry.id)
        groups = effect.groups if effect else 0
        numbers = map(str, (groups, entry.shown, entry.written))
        table.add_row(entry.id[:8], entry.task, effect_text(effect), *numbers, escape(short(entry.text)))
    console.print(table)


@app.command()
def show(entry_id: EntryId, run: Run = DEFAULT_RUN) -> None:
    """Everything about one entry, also after it left the bank."""
    bank = Contents.read(run)
    if ledger_folder(run) is None:
        record, stands = bank.find(entry_id), "in the bank"
    else:
        with _reading(run) as ledger:
            record = _find(ledger, entry_id)
            stands = standing(ledger, record)
    entry, effect = record.entry, bank.known.effect(record.entry.id)
    table = Table(show_header=False, box=None)
    rows = {
        "id": entry.id, "task": entry.task, "state": stands, "text": entry.text, "situation": entry.key_text,
        "effect": effect_text(effect), "shown": f"{entry.shown} times, last in round {entry.last_shown_round}",
        "written": f"{entry.written} times, first in round {entry.origin.round}: {entry.origin.purpose} of "
        f"{entry.origin.episode or 'its parents'}",
        "completion": entry.origin.completion_id, "parents": "\n".join(entry.parents) or "none",
    }  # fmt: skip
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/]", escape(value))
    console.print(table)


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="a situation, as an episode would begin with it")],
    run: Run = DEFAULT_RUN,
    scope: Annotated[str | None, typer.Option(help="only this task's table")] = None,
    k: Annotated[int, typer.Option(min=1, help="how many")] = 5,
) -> None:
    """The entries nearest to a situation, without re-ranking and without counting."""
    import numpy as np

    from crl.embedding.open import load_embedder  # seconds to import: only searching embeds

    bank = Contents.read(run)
    if not (records := bank.of_scope(scope)):
        raise BankError("the bank holds no entry in that scope. Remedy: `crl bank ls` lists the scopes as task")
    scores = np.stack([record.vector for record in records]) @ load_embedder(bank.embedder).embed([text])[0]
    table = Table("similarity", "id", "task", "situation", "text")
    for row in np.argsort(-scores, kind="stable")[:k]:
        entry = records[row].entry
        table.add_row(
            f"{scores[row]:.3f}", entry.id[:8], entry.task, escape(short(entry.key_text)), escape(short(entry.text))
        )
    console.print(table)


@app.command()
def diff(
    round_a: Annotated[int, typer.Argument(min=-1, help="state after this round; -1 is the bank as the run began ...")],
    round_b: Annotated[int, typer.Argument(min=-1, help="... against the state after this one")],
    run: Run = DEFAULT_RUN,
) -> None:
    """What was added, removed and changed between two rounds."""
    with _reading(run) as ledger:
        before, after = ledger.position_after(round_a), ledger.position_after(round_b)
        old, new = ledger.live_at(before), ledger.live_at(after)
        records = {record.entry.id: record for record in ledger.records(live_only=False)}
        joins = ledger.joins(until=after)

        def replaced_by(id_: str) -> list[str]:  # since `before`: what it replaced earlier is not in `old`
            writings = (each for each in ledger.writings(id_) if before < each.seq <= after)
            joined = [other for other, into in joins.items() if into == id_]
            return [*(parent for each in writings for parent in each.parents), *joined]

        lineages = {id_: set(lineage(id_, replaced_by)) for id_ in new - old}
    changed = {id_: past for id_, lineage in lineages.items() if (past := (old - new) & lineage)}
    replaced = set().union(*changed.values())
    for id_ in _in_order(records, new - old - changed.keys()):
        console.print(f"[green]+ {id_[:8]}[/] {escape(records[id_].entry.text)}")
    for id_ in _in_order(records, old - new - replaced):
        console.print(f"[red]- {id_[:8]}[/] {escape(records[id_].entry.text)}")
    for id_ in _in_order(records, changed):
        console.print(f"[yellow]~ {id_[:8]}[/] from {', '.join(sorted(parent[:8] for parent in changed[id_]))}")
        past = [line for parent in _in_order(records, changed[id_]) for line in records[parent].entry.text.splitlines()]
        for line in difflib.ndiff(past, records[id_].entry.text.splitlines()):
            if line[0] in "+-":
                console.print(f"    [{'green' if line[0] == '+' else 'red'}]{escape(line)}[/]")
    console.print(
        f"round {round_a}: {len(old)} entries, round {round_b}: {len(new)}; "
        f"{len(new - old - changed.keys())} added, {len(old - new - replaced)} removed, {len(changed)} changed"
    )


@app.command()
def log(
    run: Run = DEFAULT_RUN,
    limit: Annotated[int, typer.Option(min=1)] = 30,
    kind: Annotated[Kind | None, typer.Option(help="only this kind of event")] = None,
    round_: Annotated[int | None, typer.Option("--round", min=0, help="only this round's")] = None,
) -> None:
    """The ledger's events, newest first."""
    table = Table("event", "time", "round", "kind", "task", "written", "removed", "detail")
    with _reading(run) as ledger:
        everything = ledger.events(newest_first=True)
        events = (event for event in everything if kind in (None, event.kind) and round_ in (None, event.round))
        for event in islice(events, limit):
            at = datetime.datetime.fromtimestamp(event.at_s).strftime("%Y-%m-%d %H:%M:%S")
            came = [id_ for id_, _ in event.added] or event.placed
            added, removed = (" ".join(id_[:8] for id_ in ids) for ids in (came, event.removed))
            table.add_row(
                str(event.seq), at, str(event.round), event.kind, event.scope, added, removed, escape(event.detail)
            )
    console.print(table)


@app.command()
def blame(
    entry_id: EntryId,
    run: Run = DEFAULT_RUN,
    limit: Annotated[int, typer.Option(min=1, help="origins of each entry, the newest first")] = 5,
) -> None:
    """Where an entry comes from: the completions, the episodes and the rounds, and the same of all that it replaced."""
    with _reading(run) as ledger:
        found, joins = _find(ledger, entry_id), ledger.joins()

        def before(id_: str) -> list[str]:
            joined = [other for other, into in joins.items() if into == id_]
            return [*_find(ledger, id_).entry.parents, *joined]

        for id_ in lineage(found.entry.id, before):
            record = _find(ledger, id_)
            entry, own = record.entry, [each for each in ledger.writings(id_) if each.entry_id == id_]
            console.print(
                f"[bold]{id_[:8]}[/] {escape(short(entry.text))} [dim]({escape(standing(ledger, record))})[/]"
            )
            for writing in reversed(own[-limit:]):
                console.print(f"    {written(ledger, writing)}")
            if len(own) > limit:
                console.print(f"    and {len(own) - limit} times before, first in round {entry.origin.round}")


@app.command()
def rollback(
    to_round: Annotated[int, typer.Option("--round", min=-1, help="the last round to keep; -1 begins anew")],
    run: Run = DEFAULT_RUN,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Take a run back to the end of ROUND, from where it goes on: what later rounds did to bank and weights is undone.

    Only rounds whose checkpoint is kept can be gone back to. A copy of the ledger is kept beside it.
    """
    folder = bank_folder(run)
    state = StateFolder(folder.parent, folder.parent.name) if (folder.parent / "run.json").is_file() else None
    with writer_lock(folder, timeout_s=2.0), closing(Ledger.reopen(folder)) as ledger:
        end, complete = ledger.position, state is not None and state.finished.exists()
        target = position_of(state, to_round, end) if state else position_in(ledger, to_round)
        if not yes:
            rounds = f" and the weights of all rounds after {to_round}" if state else ""
            typer.confirm(f"Undo {end - target} of {end} events in {folder}{rounds}?", abort=True)
        copy = folder / f"ledger.before-rollback-{end}.sqlite"
        with closing(sqlite3.connect(copy)) as kept:
            ledger.copy_to(kept)
        if state:
            forget_after(state, to_round)
        ledger.truncate_to(target)
    console.print(f"{end - target} events undone, {target} kept. The ledger as it was: {copy}")
    if state:
        command = "`dvc repro -f -s co_evolve`" if complete else "The same command as before"
        console.print(f"{command} goes on with round {to_round + 1}.")


@app.command()
def verify(run: Run = DEFAULT_RUN) -> None:
    """Replay the events and compare with every row. Exit status 1 when anything disagrees."""
    with _reading(run) as ledger:
        found, position, live = audit(ledger), ledger.position, sum(1 for _ in ledger.records())
    for disagreement in found:
        console.print(f"[red]{disagreement.subject}[/] {escape(disagreement.detail)}")
    console.print(f"{position} events, {live} entries, {len(found)} disagreements")
    if found:
        raise typer.Exit(1)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="FILE.parquet (with vectors and effects) or FILE.jsonl")],
    run: Run = DEFAULT_RUN,
) -> None:
    """Write all entries to a file."""
    if file.suffix not in (".parquet", ".jsonl"):
        raise DataError(f"{file}: neither .parquet nor .jsonl. Remedy: choose one of these endings")
    if not file.parent.is_dir():
        raise DataError(f"{file}: no folder {file.parent}. Remedy: make it, or write elsewhere")
    bank = Contents.read(run)
    if file.suffix == ".parquet":
        bank.write(file)
    else:
        rows = ({**asdict(r.entry), "effect": (e := bank.known.effect(r.entry.id)) and asdict(e)} for r in bank.records)
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    console.print(f"{len(bank.records)} entries written to {file}")


def _find(ledger: Ledger, entry_id: str) -> Record:
    return ledger.record(entry_id) or no_entry(entry_id)


def _in_order(records: dict[str, Record], ids: set[str] | dict[str, set[str]]) -> list[str]:
    return sorted(ids, key=lambda id_: (records[id_].created_seq, records[id_].number))
