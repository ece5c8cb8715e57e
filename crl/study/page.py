"""The page of a study, written by `crl compare STUDY --page FILE` from its raw results alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from crl.evaluation.statistics import ALL
from crl.study.comparison import Comparison, Finding
from crl.study.tables import tables


def page_of(
    comparisons: Mapping[str, Comparison], found: Sequence[Finding], *, raw: Path, picture: Path, page: Path
) -> str:
    """Markdown. `raw` and `picture`: the table that everything is computed from, and its curves; `page`: the file itself."""
    made = comparisons[ALL]
    study = made.study
    played = ", ".join(f"{arm} ({len(runs)})" for arm, runs in made.runs.items())
    missing = [arm for arm in study.arms if arm not in made.runs]
    lines = [
        f"# Study: {study.name}",
        "",
        f"Written by `crl compare {study.name} --page {page}` from `{raw}`. What is compared, how, and what "
        "counts as support was written down before: [protocol](protocol.md).",
        "",
        f"Profile `{study.profile}`{_changes(study.overrides)}. Runs that ended, by arm: {played}."
        + (f" Not played: {', '.join(missing)}." if missing else ""),
        f"Panel, code and seeds: `{made.digest}`.",
        "",
        "## Aims",
        *[f"- {finding.text()}" for finding in found],
        "",
        "## Curves",
        f"![success over environment steps]({_relative(picture, page.parent)})",
    ]
    for name, comparison in comparisons.items():
        lines += ["", f"## {'All tasks' if name == ALL else name}"]
        for rows in tables(comparison):
            lines += [rows.markdown(), ""]
    return "\n".join(lines).rstrip() + "\n"


def _changes(overrides: tuple[str, ...]) -> str:
    return f" with {', '.join(f'`{each}`' for each in overrides)}" if overrides else ""


def _relative(file: Path, folder: Path) -> Path:
    return file.relative_to(folder) if file.is_relative_to(folder) else file
