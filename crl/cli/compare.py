"""`crl compare`: the arms of a study, from its raw results."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(add_completion=False, help="Compare the arms of a study.")
console = Console()


@app.command()
def compare(
    study: Annotated[str, typer.Argument(help="a name in conf/study")],
    results: Annotated[Path | None, typer.Option(help="raw results; default: studies/STUDY.parquet")] = None,
    task: Annotated[str, typer.Option(help="one task of the mix instead of all together")] = "all",
    page: Annotated[
        Path | None, typer.Option(help="write a Markdown page here, and its curves beside it as pictures/NAME.png")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="draw the curves into this PNG file")] = None,
) -> None:
    """Interquartile means over seeds with intervals, differences to the reference, and which aims they support.

    Every figure is computed from the raw results; beside each table stands the digest of the panel, the code and the seeds.
    """
    from crl.study.comparison import compare as compared
    from crl.study.comparison import findings
    from crl.study.definition import load_study
    from crl.study.results import ALL, read
    from crl.study.tables import tables

    chosen, file = load_study(study), results or Path("studies") / f"{study}.parquet"
    table = read(file)
    tasks = sorted(set(table["task"]))
    if task not in (ALL, *tasks):
        raise typer.BadParameter(f"task = {task!r}: not in {file}. Remedy: use one of {', '.join((ALL, *tasks))}")
    made = compared(chosen, table, task)
    for rows in tables(made):
        _print(rows)
    found = list(findings(chosen, table))
    for finding in found:
        console.print(finding.text(), highlight=False, markup=False, soft_wrap=True)
    if page or plot:
        from crl.study.page import page_of
        from crl.study.plots import draw

        whole = {name: compared(chosen, table, name) for name in (ALL, *tasks)}
        picture = plot or page.parent / "pictures" / f"study_{study}.png"
        draw(whole, picture)
        if page:
            page.write_text(page_of(whole, found, raw=file, picture=picture, page=page))
        console.print(f"written: {', '.join(str(each) for each in (page, picture) if each)}", highlight=False)


def _print(rows) -> None:
    table = Table(*rows.header, title=rows.title, box=None, title_justify="left", padding=(0, 1))
    for row in rows.rows:
        table.add_row(*row)
    console.print(table, highlight=False)
    console.print(f"[dim]{rows.note}[/]\n", highlight=False)
