"""`crl doctor`: what a run with these parameters needs, against what is here; exit status 1 on a failure."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from crl.cli.findings import show_findings
from crl.cli.values import finite

app = typer.Typer(add_completion=False, help="Check machine, servers, models and data before a run.")


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
        show_findings(findings, f"profile {config.profile}")
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(1)
