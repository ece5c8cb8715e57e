"""`crl watch`: a run's episodes turn by turn, while they are played or afterwards."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from crl.cli.bank_source import DEFAULT_RUN
from crl.episode.journal import Began, Closed, Ended, Opened, Reader, Row, Took, journal_file, rounds_of
from crl.errors import DataError
from crl.replies.printable import plain
from crl.round.state import StateFolder, latest_state

_POLL_S = 0.25
_COLOURS = {"success": "green", "death": "red", "timeout": "yellow", "truncated": "yellow"}

app = typer.Typer(add_completion=False)
console = Console()


@app.command()
def watch(
    run: Annotated[Path, typer.Argument(help="a run's folder or lineage, or the folder of all runs")] = DEFAULT_RUN,
    round_: Annotated[
        int | None, typer.Option("--round", min=0, help="this round alone; without it the newest, then those that come")
    ] = None,
    episode: Annotated[
        str | None, typer.Option(help="this one alone: its key, r3.g0.e4, or g0.e4 in any round")
    ] = None,
    guided: Annotated[bool | None, typer.Option("--guided/--free", help="only one half")] = None,
    follow: Annotated[bool, typer.Option(help="go on until the run is complete; Ctrl-C ends it, too")] = True,
) -> None:
    """Follow a run's episodes turn by turn: one after the other, in the order in which they began."""
    state = state_of(run)
    if episode and round_ is None and (named := episode.partition(".")[0].removeprefix("r")).isdigit():
        round_ = int(named)

    def wanted(row: Began) -> bool:
        return guided in (None, row.guided) and (not episode or f".{row.episode}".endswith(f".{episode}"))

    for row in in_turn(rows(state, round_, follow=follow), wanted):
        console.print(said(row), soft_wrap=True)


def state_of(run: Path) -> StateFolder:
    """The run's working state; of the latest run where the folder holds several. Raises DataError."""
    for place in (run, DEFAULT_RUN / run):
        if (place / "latest.json").is_file():
            place = latest_state(place)
        if (place / "run.json").is_file():
            return StateFolder(place, place.name)
    raise DataError(f"{run}: no run's folder. Remedy: start a run (`make run`), or name a folder of {DEFAULT_RUN}")


def rows(state: StateFolder, round_: int | None, *, follow: bool) -> Iterator[Row]:
    """What the journals say: of one round, or of the newest and those that come after it. Raises DataError for none."""
    known, follow = rounds_of(state.episodes), follow and not state.finished.exists()
    newest = known[-1] if known else -1
    if round_ not in (None, *known) and not (follow and round_ > newest):
        kept = f"rounds {', '.join(map(str, known))}" if known else "no round's episodes"
        raise DataError(f"--round {round_}: {state.episodes} holds {kept}. Remedy: one of these, or no --round")
    if not known and not follow:
        raise DataError(f"{state.episodes}: no round's episodes. Remedy: `crl watch` while the run plays")
    at = max(newest, 0) if round_ is None else round_
    while True:
        yield from _of_round(state, at, follow=follow, alone=round_ is not None)
        later = [each for each in rounds_of(state.episodes) if each > at]
        if round_ is not None or not later:
            return
        at = later[0]


def _of_round(state: StateFolder, round_: int, *, follow: bool, alone: bool) -> Iterator[Row]:
    """One round's rows, from the first again where it is begun anew.

    They end where a later round, or the end of the run, is there; if the round is read alone, also where it was closed.
    """
    reader, closed = None, False
    try:
        while True:
            over = state.finished.exists() or (rounds_of(state.episodes) or [-1])[-1] > round_
            if reader is None or reader.replaced:
                if reader is not None:
                    reader.close()
                file = journal_file(state.episodes, round_)
                reader, closed = Reader(file) if file.is_file() else None, False
            for row in reader.rows() if reader is not None else ():
                closed = isinstance(row, Closed)
                yield row
            if over or not follow or (closed and alone):
                return
            time.sleep(_POLL_S)
    finally:
        if reader is not None:
            reader.close()


def in_turn(rows: Iterable[Row], wanted: Callable[[Began], bool]) -> Iterator[Row]:
    """The rows of one episode after the other, in the order in which they began; the first that goes on is told as it goes."""
    waiting: dict[str, list[Row]] = {}
    for row in rows:
        if isinstance(row, Opened | Closed):
            yield from chain(*waiting.values())
            waiting.clear()
            yield row
            continue
        if row.episode in waiting:
            waiting[row.episode].append(row)
        elif isinstance(row, Began) and wanted(row):
            waiting[row.episode] = [row]
        while waiting:
            first = next(iter(waiting))
            yield from (told := waiting[first])
            if not (told and isinstance(told[-1], Ended)):
                told.clear()
                break
            del waiting[first]
    yield from chain(*waiting.values())


def said(row: Row) -> Text:
    """A row for people. All of it is shown as it is: models and environments wrote it."""
    match row:
        case Opened():
            return Text(f"round {row.round}: {row.planned} episodes", "bold blue")
        case Began():
            return _beginning(row)
        case Took():
            done = {"invalid": "not understood", "ask": f"asks: {row.action}"}.get(row.kind, row.action or "")
            return Text.assemble(
                (f"{row.turn:3}  ", "bold"), f"{plain(row.observation)}\n", ("   > ", "dim"), (plain(row.reply), "cyan"),
                (f"\n   = {plain(done)}, reward {row.reward:g}, {row.tokens} tokens", "bold"),
            )  # fmt: skip
        case Ended(outcome=None):
            return Text(f"lost: {plain(row.last)}", "red")
        case Ended():
            end = f"{row.outcome} after {row.turns} turns, reward {row.reward:g}"
            return Text.assemble(f"     {plain(row.last)}\n", (end, f"bold {_COLOURS.get(row.outcome, '')}"))
        case Closed():
            return Text(
                "the journal is full: the rest of this round was not written down" if row.full else "", "yellow"
            )


def _beginning(row: Began) -> Text:
    arm = "guided" if row.guided else "free"
    lines = [(f"\n{row.episode}  {plain(row.task)}  {arm}", "bold"), (f"  {plain(row.instance)}", "dim")]
    if row.goal:
        lines.append(f"\ngoal: {plain(row.goal)}")
    if row.guided:
        shown = "nothing" if row.shown is None else plain(row.shown)
        lines += ["\nexperience: ", (shown, "magenta"), f" (gate: {row.decision})" if row.decision else ""]
    return Text.assemble(*lines)
