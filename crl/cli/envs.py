"""`crl envs`: which environments there are, whether this machine can play them, and whether they keep the contract."""

from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from crl.config.play import EnvsConfig
from crl.envs.check import Finding, check_env
from crl.envs.family import TaskRequest
from crl.envs.registry import BUILT_IN, families, family_class, make_env
from crl.errors import ConfigError, CrlError
from crl.tasks.sets import of_family
from crl.types import Task

app = typer.Typer(add_completion=False, help="List and check the text environments.")
console = Console()


@app.callback(invoke_without_command=True)
def envs(
    context: typer.Context,
    all_levels: Annotated[bool, typer.Option("--all", help="every registered MiniHack level")] = False,
) -> None:
    """List families and their levels; the last column plays one instance of each."""
    if context.invoked_subcommand is not None:
        return
    table = Table("family", "levels", "task sets", "on this machine")
    for name, target in families().items():
        table.add_row(name, *_row(name, target))
    console.print(table)
    if all_levels:
        from crl.envs.minihack.game import level_ids

        console.print("\n".join(level_ids()), highlight=False)


@app.command()
def check(
    family: Annotated[
        str | None, typer.Argument(help="family name or module:Class; without it all families are checked")
    ] = None,
    level: Annotated[str | None, typer.Option(help="one level; without it those that the family lists")] = None,
    observation: Annotated[str, typer.Option(help="slots or grid")] = "grid",
    seeds: Annotated[int, typer.Option(min=2, help="instances that each rule plays")] = 4,
    max_steps: Annotated[int, typer.Option(min=1, help="steps before time-out")] = 30,
) -> None:
    """Check environments against the text-environment contract; exit status 1 if a rule is violated."""
    violated = 0
    for name in BUILT_IN if family is None else (family,):
        for each in levels_of(name) if level is None else (level,):
            tasks = sample_tasks(name, each, seeds, max_steps, observation)
            findings = check_env(lambda name=name: make_env(name, observation), tasks)
            console.print(_table(f"{name}: {each}", findings))
            violated += sum(not finding.ok for finding in findings)
    if violated:
        console.print(f"[red]{violated} violated[/]")
        raise typer.Exit(1)
    console.print("[green]all rules hold[/]")


def levels_of(family: str) -> tuple[str, ...]:
    """The levels that a family lists; a family that lists none has one, without a name."""
    return getattr(family_class(family), "levels", ("",))


def sample_tasks(
    family: str, level: str, count: int, max_steps: int, observation: str, first_seed: int = 0
) -> list[Task]:
    """The first training instances of a level. Raises ConfigError when it has fewer."""
    asked = TaskRequest("play", family, level, "train", max_steps, count, first_seed)
    tasks = list(islice(of_family(asked, EnvsConfig(observation=observation)), count))
    if len(tasks) < count:
        raise ConfigError(f"{family}, level {level!r}: has {len(tasks)} of {count} instances. Remedy: ask for fewer")
    return tasks


def _row(name: str, target: str) -> tuple[str, str, str]:
    try:
        family = family_class(name)
        levels = levels_of(name)
        [task] = sample_tasks(name, levels[0], 1, 30, "grid")
        with closing(make_env(name, "grid")) as env:
            env.reset(task)
    except CrlError as error:
        return target, "", f"[red]no[/]: {error}"
    return ", ".join(levels), "own" if hasattr(family, "task_set") else "by seed", "[green]plays[/]"


def _table(level: str, findings: Sequence[Finding]) -> Table:
    table = Table("rule", "", "what was seen", "remedy", title=level, title_justify="left")
    for finding in findings:
        mark = "[green]ok[/]" if finding.ok else "[red]violated[/]"
        table.add_row(finding.rule, mark, finding.explanation, finding.remedy)
    return table
