"""What was examined, as a table with a verdict under it."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crl.doctor import Finding

_MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[bold red]FAIL[/]"}


def show_findings(findings: Sequence[Finding], examined: str) -> None:
    """`examined` names what the findings are about."""
    console, table = Console(), Table("", "check", box=None, padding=(0, 2))
    for name in ("seen", "needed"):  # folded: the end of a parameter's name or of a figure is what a remedy is about
        table.add_column(name, overflow="fold")
    for finding in findings:
        seen = escape(finding.seen)
        if finding.remedy:
            seen += f"\n[bold]Remedy:[/] {escape(finding.remedy)}"
        table.add_row(_MARKS[finding.status], finding.check, seen, escape(finding.needed))
    console.print(table, highlight=False)
    failed, warned = (sum(finding.status == status for finding in findings) for status in ("fail", "warn"))
    verdict = f"[bold red]{failed} of {len(findings)} findings stop a run" if failed else "[green]ready"
    console.print(f"\n{verdict}[/]: {escape(examined)}, {warned} warnings", highlight=False)
