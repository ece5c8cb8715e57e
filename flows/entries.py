"""Stage `entries`: in `data/tasks/` lie the task sets of the mix, all of them, and nothing else.

DVC leaves the folder of an entry that has left the mix, and the stages after this one depend on all of `data/tasks/`: they would
run again, and `dvc.lock` would hold a hash that no other clone can have. `prepare` cannot remove it: it runs once for each entry
that is there, or is restored and does not run at all. This stage depends on the folder as well, so what is left over makes
it run, and DVC takes the hash that it records afterwards. Nor may one be missing: `dvc repro --allow-missing` passes over a
`prepare` that did not change without fetching what it made, and then a part of the folder would be taken for all of it.

Reads `params.yaml` and `data/tasks/`; writes `data/entries.json`, for which the stages after it wait. It computes and records
nothing, so it is no flow.
"""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from shutil import rmtree

from crl.config import load
from crl.errors import CrlError, DataError
from crl.files import write_json
from flows.stage.paths import ENTRIES, TASKS

# By `prepare`, in an entry's folder. `crl.tasks.sets` has the names, too; to import it would make every environment a dep.
WRITTEN = frozenset({"train.parquet", "eval.parquet", "unavailable.txt"})


def remove_left_over(folder: Path, names: Collection[str]) -> list[str]:
    """Remove the task sets of entries that are not in `names`; returns which they were. A run of their mix brings them back.

    Raises DataError, before anything is removed, where a set of `names` is missing, and for what `prepare` did not write: nobody
    else has that.
    """
    if absent := [name for name in names if not (folder / name).is_dir()]:
        raise DataError(
            f"{folder}: no task set of {', '.join(absent)}, which tasks.mix names. Remedy: dvc pull prepare, where DVC has a "
            "remote that holds it; or dvc repro prepare, without --allow-missing. Then the same command"
        )
    left = [path for path in sorted(folder.iterdir()) if path.name not in {*names, ".gitignore"}]  # which is DVC's
    for path in left:
        if not path.is_dir() or path.is_symlink() or not {file.name for file in path.iterdir()} <= WRITTEN:
            raise DataError(
                f"{path}: neither an entry of tasks.mix ({', '.join(names)}) nor a task set that was left over. All that lies in "
                f"{folder} is part of what the next stages depend on. Remedy: move it out of {folder}"
            )
    for path in left:
        rmtree(path)
    return [path.name for path in left]


def main(arguments: Sequence[str] = ()) -> int:
    try:
        names = list(load(Path(arguments[0] if arguments else "params.yaml")).tasks.mix)
        for name in remove_left_over(TASKS, names):
            _say(f"{TASKS / name} is of another mix: removed; a run of that mix brings it back")
        write_json(ENTRIES, names)
    except CrlError as error:
        _say(f"{type(error).__name__}\n{error}")
        return 2
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
