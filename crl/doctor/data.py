"""The task sets, and the files that families read."""

from collections.abc import Iterator
from pathlib import Path

from crl.doctor.registry import Finding, Situation, check

_TASKS, _MIX = Path("data/tasks"), Path("data/mix")
_SPLITS = ("train", "eval")


@check("data")
def data(situation: Situation) -> Iterator[Finding]:
    """Task sets that are not made yet are no fault: the first stages make them."""
    mix = situation.config.tasks.mix
    for name, entry in mix.items():
        if entry.source and _a_path(entry.source) and not (situation.folder / entry.source).exists():
            seen = f"tasks.mix.{name}.source = {entry.source}: no such file or folder"
            yield Finding("data", "fail", seen, "the original data", "copy them there, or correct the name")
    for name in mix:
        unavailable = situation.folder / _TASKS / name / "unavailable.txt"
        if unavailable.is_file():
            seen = f"{name} is left out: {unavailable.read_text(errors='replace').strip()[:300]}"
            yield Finding(
                "data", "warn", seen, "a task set", f"mend the cause, then dvc repro -f -s prepare ({_TASKS})"
            )
    there = [
        name for name in mix if all((situation.folder / _MIX / name / f"{part}.parquet").is_file() for part in _SPLITS)
    ]
    missing = [name for name in mix if name not in there]
    if missing:
        yield Finding("data", "ok", f"{', '.join(missing)}: not made yet; the stages prepare and filter will")
    if there:
        yield Finding("data", "ok", f"{_MIX}: {', '.join(there)}")


def _a_path(source: str) -> bool:
    """Whether a task's source is meant as a file or folder; owner/name is a hub name."""
    return source.startswith((".", "/", "~")) or len(Path(source).parts) != 2 or bool(Path(source).suffix)
