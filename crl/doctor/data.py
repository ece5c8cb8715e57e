"""The task sets, and the files that families read."""

from collections.abc import Iterator
from pathlib import Path

from crl.doctor.finding import Finding, Situation
from crl.tasks.sets import SPLITS, why_unavailable

_TASKS, _MIX = Path("data/tasks"), Path("data/mix")


def data(situation: Situation) -> Iterator[Finding]:
    """Task sets that are not made yet are no fault: the first stages make them."""
    mix, folder = situation.config.tasks.mix, situation.folder
    for name, entry in mix.items():
        if entry.source and _a_path(entry.source) and not (folder / entry.source).exists():
            seen = f"tasks.mix.{name}.source = {entry.source}: no such file or folder"
            yield Finding("fail", seen, "the original data", "copy them there, or correct the name")
    for name in mix:
        if reason := why_unavailable(folder / _TASKS / name):
            remedy = f"mend the cause, then dvc repro -f -s prepare ({_TASKS})"
            yield Finding("warn", f"{name} is left out: {reason.strip()[:300]}", "a task set", remedy)
    there = [name for name in mix if all((folder / _MIX / name / f"{part}.parquet").is_file() for part in SPLITS)]
    if missing := [name for name in mix if name not in there]:
        yield Finding("ok", f"{', '.join(missing)}: not made yet; the stages prepare and filter will")
    if there:
        yield Finding("ok", f"{_MIX}: {', '.join(there)}")


def _a_path(source: str) -> bool:
    """Whether a task's source is meant as a file or folder; owner/name is a hub name."""
    return source.startswith((".", "/", "~")) or len(Path(source).parts) != 2 or bool(Path(source).suffix)
