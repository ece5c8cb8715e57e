"""`crl bank contest`: two banks guide the same actor on the same held-out levels; which of them it does better with."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crl.cli.bank_source import DEFAULT_RUN, Contents, Run, config_of
from crl.config import Config, load
from crl.config.servers import Requirement
from crl.errors import BankError, ConfigError, DataError
from crl.types import Task

if TYPE_CHECKING:  # seconds, for every other command
    from crl.embedding.protocol import Embedder
    from crl.evaluation.bank_contest import BankContest
    from crl.evaluation.paired import Paired

console = Console()
Required = StrEnum("Required", {name: name for name in get_args(Requirement)})
_FORMS = "a round of the run, a file that `export` wrote, or a folder as --run takes it"


def contest(
    old: Annotated[str, typer.Argument(help=_FORMS)],
    new: Annotated[str, typer.Argument(help="the same")],
    run: Run = DEFAULT_RUN,
    params: Annotated[
        Path | None, typer.Option(help="parameter file; without it what the run was played with, else params.yaml")
    ] = None,
    models: Annotated[Path, typer.Option(help="folder with actor/, and extractor/ for the ask tool")] = Path("models"),
    task: Annotated[list[str] | None, typer.Option(help="only this entry of the mix; may be repeated")] = None,
    levels: Annotated[
        int | None, typer.Option(min=1, help="per task; without it as many as the parameters say")
    ] = None,
    require: Annotated[Required | None, typer.Option(help="exit status 1 unless NEW is so, over all tasks")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Whether an actor does better with the bank NEW than with OLD: paired, on the same levels with the same random streams."""
    from crl.embedding.open import open_embedder

    config = load(params) if params else config_of(run) or load()
    panel = _levels_of(config, task or tuple(config.tasks.mix), levels)
    needed = ("actor", "extractor") if config.actor.ask.enabled else ("actor",)
    if missing := [role for role in needed if not (models / role).is_dir()]:
        raise ConfigError(
            f"--models {models}: no folder {' and no '.join(missing)} in it. Remedy: `dvc pull` or `make run` first, or --models "
            "FOLDER, such as runs/warm_start for the base models"
        )
    banks = {name: Contents.named(name, run) for name in (old, new)}
    embedder = open_embedder(config)
    for name, bank in banks.items():
        _check(name, bank, embedder)
    made = _play(config, panel, models, banks[old], banks[new], embedder)
    overall = made.compared[-1]
    if as_json:
        typer.echo(json.dumps(_as_json(old, new, made), indent=2))
    else:
        _print(old, new, made)
    if require and not overall.meets(require.value):
        typer.echo(f"--require {require.value}: {new} is {overall.verdict}", err=True)
        raise typer.Exit(1)


def _levels_of(config: Config, names: Sequence[str], levels: int | None) -> tuple[Task, ...]:
    """The held-out instances of these entries, as the pipeline makes them, or `levels` of each."""
    from crl.tasks.sets import instances

    mix = config.tasks.mix
    if strangers := [name for name in names if name not in mix]:
        raise ConfigError(f"--task {', '.join(strangers)}: not in tasks.mix. Remedy: choose from {', '.join(mix)}")
    if levels:
        entries = {name: entry.model_copy(update={"eval_levels": levels}) for name, entry in mix.items()}
        config = config.model_copy(update={"tasks": config.tasks.model_copy(update={"mix": entries})})
    return tuple(instance for name in names for instance in instances(config, name, "eval"))


def _check(name: str, bank: Contents, embedder: "Embedder") -> None:
    if not bank.records:
        raise BankError(f"{name}: the bank is empty, so nothing would be shown. Remedy: name one with entries")
    if bank.embedder != embedder.name:
        raise DataError(
            f"{name}: keys of embedder {bank.embedder!r}, and models.embedder is {embedder.name!r}. Remedy: two banks of one "
            "embedder, and --run or --params of a run with it"
        )


def _play(
    config: Config, levels: Sequence[Task], models: Path, old: Contents, new: Contents, embedder: "Embedder"
) -> "BankContest":
    from crl.cli.progress import Display
    from crl.evaluation.bank_contest import contest as played
    from crl.evaluation.held_out import Candidate

    progress = Display("contest", Console(stderr=True), transient=True)
    with TemporaryDirectory(prefix="crl-contest-") as scratch, progress.drawn():
        folders = [Path(scratch) / side for side in ("old", "new")]
        for folder, bank in zip(folders, (old, new), strict=True):
            bank.write(folder / "bank.parquet")
        agent = Candidate("after", models / "actor", models / "extractor", folders[0])
        return played(config, levels, agent, folders[1], embedder, progress)


def _print(old: str, new: str, made: "BankContest") -> None:
    overall = made.compared[-1]
    title = f"success with {old} (old) and {new} (new), the same levels and seeds"
    columns = ("task", "levels", "old", "new", f"new - old, {overall.confidence:.0%} interval", "new is")
    table = Table(*columns, title=escape(title), title_justify="left")
    for one in made.compared:
        figures = (f"{one.old:.1%}", f"{one.new:.1%}", _change(one))
        table.add_row(one.task, str(one.levels), *figures, one.verdict, style="bold" if one is overall else "")
    console.print(table, highlight=False)
    for sentence in _sentences(new, made):
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def _sentences(new: str, made: "BankContest") -> Iterator[str]:
    overall, pairs = made.compared[-1], len(made.pairs)
    yield f"The two showed different texts in {made.shown_differently} of {pairs} episodes."
    if overall.verdict == "not told apart":
        yield (
            f"Not told apart: any difference from {overall.gain_low:+.1%} to {overall.gain_high:+.1%} fits what was seen. More "
            "levels (--levels) narrow it."
        )
    else:
        yield f"With {new} the actor does {overall.verdict}: {_change(overall)}."
    if len(made.compared) > 2:
        yield f"Intervals are not corrected for looking at {len(made.compared) - 1} tasks."


def _change(one: "Paired") -> str:
    return f"{one.gain:+.1%} [{one.gain_low:+.1%}, {one.gain_high:+.1%}]"


def _as_json(old: str, new: str, made: "BankContest") -> dict[str, object]:
    tasks = {one.task: asdict(one) | {"verdict": one.verdict} for one in made.compared}
    counts = {"episodes": len(made.pairs), "shown_differently": made.shown_differently}
    return {"old": old, "new": new, "verdict": made.compared[-1].verdict, **counts, "tasks": tasks}
