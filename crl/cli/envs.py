"""`crl envs`: which environments there are, and whether they keep the contract."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from crl.envs.check import Finding, check_env
from crl.envs.minihack.game import level_ids
from crl.envs.minihack.levels import STANDARD, kind_of
from crl.envs.registry import families, make_env
from crl.types import Task

app = typer.Typer(add_completion=False, help="List and check the text environments.")
console = Console()


@app.callback(invoke_without_command=True)
def envs(
    context: typer.Context,
    all_levels: Annotated[bool, typer.Option("--all", help="every registered MiniHack level")] = False,
) -> None:
    """List families and levels."""
    if context.invoked_subcommand is not None:
        return
    table = Table("family", "where it comes from", title="families", title_justify="left")
    for name, target in families().items():
        table.add_row(name, target)
    console.print(table)
    table = Table("level", "goal", title="levels of minihack", title_justify="left")
    for level in level_ids() if all_levels else STANDARD:
        table.add_row(level, kind_of(level).goal)
    console.print(table)
    if not all_levels:
        console.print(f"{len(level_ids())} levels are registered; `crl envs --all` lists them.")


@app.command()
def check(
    level: Annotated[str | None, typer.Argument(help="one level; without it the standard ones are checked")] = None,
    family: Annotated[str, typer.Option(help="family name or module:Class")] = "minihack",
    observation: Annotated[str, typer.Option(help="slots or grid")] = "grid",
    seeds: Annotated[int, typer.Option(min=2, help="instances that each rule plays")] = 4,
    max_steps: Annotated[int, typer.Option(min=1, help="steps before time-out")] = 30,
) -> None:
    """Check levels against the text-environment contract; exit status 1 if a rule is violated."""
    violated = 0
    for name in STANDARD if level is None else (level,):
        tasks = [Task(f"{name}/{seed}", "check", family, name, seed, max_steps) for seed in range(seeds)]
        findings = check_env(lambda: make_env(family, observation), tasks)
        console.print(_table(name, findings))
        violated += sum(not finding.ok for finding in findings)
    if violated:
        console.print(f"[red]{violated} violated[/]")
        raise typer.Exit(1)
    console.print("[green]all rules hold[/]")


def _table(level: str, findings: list[Finding]) -> Table:
    table = Table("rule", "", "what was seen", "remedy", title=level, title_justify="left")
    for finding in findings:
        mark = "[green]ok[/]" if finding.ok else "[red]violated[/]"
        table.add_row(finding.rule, mark, finding.explanation, finding.remedy)
    return table
