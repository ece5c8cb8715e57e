"""`crl doctor`: what a run with these parameters needs, against what is here; exit status 1 on a failure."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crl.cli.values import finite

app = typer.Typer(add_completion=False, help="Check machine, servers, models and data before a run.")
console = Console()
_MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[bold red]FAIL[/]"}


@app.callback(invoke_without_command=True)
def doctor(
    params: Annotated[Path, typer.Option(help="parameter file")] = Path("params.yaml"),
    profile: Annotated[str | None, typer.Option(help="a profile of conf/profile instead of the parameter file")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the findings as JSON")] = False,
    deadline: Annotated[
        float, typer.Option(min=0.1, callback=finite, help="seconds that each check may take; all run at once")
    ] = 5.0,
) -> None:
    """Check what a run with these parameters needs, before its first costly second."""
    from crl.config.compose import chosen
    from crl.doctor import Situation, examine

    config = chosen(profile, params)
    findings = examine(Situation(config, deadline_s=deadline))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        _show(findings, config.profile)
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(1)


def _show(findings: list, profile: str) -> None:
    table = Table("", "check", "seen", "needed", box=None, padding=(0, 2))
    for finding in findings:
        seen = escape(finding.seen)
        if finding.remedy:
            seen += f"\n[bold]Remedy:[/] {escape(finding.remedy)}"
        table.add_row(_MARKS[finding.status], finding.check, seen, escape(finding.needed))
    console.print(table, highlight=False)
    failed, warned = (sum(finding.status == status for finding in findings) for status in ("fail", "warn"))
    verdict = f"[bold red]{failed} of {len(findings)} findings stop a run" if failed else "[green]ready"
    console.print(f"\n{verdict}[/]: profile {profile}, {warned} warnings", highlight=False)
