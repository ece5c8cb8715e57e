"""The raw results of a study as one small Parquet table, and each run's curve from it.

A row is one cell of one evaluation: study, arm, seed, rounds, env_steps (of training so far), panel, params, code (digests), task,
experience (whether it was shown any), levels, episodes, successes, actions (environment steps of all its episodes).
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from crl.errors import DataError
from crl.evaluation.statistics import ALL
from crl.files import write_file, write_json
from crl.study.metrics import Curve
from crl.study.place import StudyRun, identity

_OF_POINT = ("study", "arm", "seed", "rounds", "env_steps", "panel", "params", "code")
_OF_CELL = ("task", "experience", "levels", "episodes", "successes", "actions")
COLUMNS = (*_OF_POINT, *_OF_CELL)


def collect(runs: Iterable[StudyRun]) -> pd.DataFrame:
    """All rows of the runs that have ended, sorted."""
    rows = [
        {**{name: value for name, value in point.items() if name != "cells"}, **cell}
        for run in runs
        if run.done
        for point in run.points()
        for cell in point["cells"]
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sort_values(["arm", "seed", "rounds", "task", "experience"], ignore_index=True)


def write(table: pd.DataFrame, file: Path) -> None:
    """The same rows give the same bytes."""
    write_file(file, lambda partial: table.to_parquet(partial, compression="zstd", index=False))


def restore(file: Path, runs: Iterable[StudyRun]) -> None:
    """Put the runs that a table holds, and this machine does not, back into their folders: a study goes on in a fresh checkout.

    Raises DataError where one was played with other parameters or by other code.
    """
    table = read(file)
    for run in runs:
        rows = table[(table["arm"] == run.arm) & (table["seed"] == run.seed)]
        if run.done or rows.empty:
            continue
        for name, now in identity(run.study.config(run.arm, run.seed)).items():
            if (found := rows[name].iloc[0]) != now:
                raise DataError(
                    f"{file}: {run.arm} {run.seed} was played with {name} = {found}, not {now}. Remedy: go on at the commit that "
                    "played it, or remove the file to begin the study anew"
                )
        for rounds, of_point in rows.groupby("rounds"):
            heads, cells = (
                json.loads(part.to_json(orient="records")) for part in (of_point[[*_OF_POINT]], of_point[[*_OF_CELL]])
            )
            write_json(run.point(rounds), {**heads[0], "cells": cells})
        write_json(run.folder / "done.json", {"points": rows["rounds"].nunique()})


def read(file: Path) -> pd.DataFrame:
    """Raises DataError where the file is missing, no such table, or of more than one panel or state of the code."""
    if not file.is_file():
        raise DataError(f"{file}: missing. Remedy: python -m flows.study {file.stem}")
    table = pd.read_parquet(file)
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise DataError(
            f"{file}: no column {', '.join(missing)}. Remedy: collect it anew: python -m flows.study {file.stem}"
        )
    for name in ("panel", "code"):
        if len(found := sorted(set(table[name]))) != 1:
            raise DataError(
                f"{file}: {name} = {', '.join(found) or 'none'}: figures of one table are measured on one panel, by one state of "
                "the code. Remedy: play all runs at one commit"
            )
    return table


def digest(table: pd.DataFrame) -> str:
    """What stands beside every figure: of the evaluation panel (levels and code), the training code, and the seeds."""
    values = [*sorted(set(table["panel"])), *sorted(set(table["code"])), *map(str, sorted(set(table["seed"])))]
    return hashlib.blake2b(" ".join(values).encode(), digest_size=6).hexdigest()


def curves(table: pd.DataFrame, task: str = ALL) -> dict[str, dict[int, Curve]]:
    """Arm -> seed -> the run's curve, of one task or of all together."""
    rows = table if task == ALL else table[table["task"] == task]
    sums = rows.groupby(["arm", "seed", "rounds", "env_steps", "experience"])[
        ["successes", "episodes", "actions"]
    ].sum()
    found: dict[str, dict[int, Curve]] = {}
    for (arm, seed), of_run in sums.groupby(level=["arm", "seed"]):
        sides = {shown: of_run.xs(shown, level="experience") for shown in (False, True)}
        rates = {shown: (side["successes"] / side["episodes"]).to_numpy() for shown, side in sides.items()}
        last = {shown: side.iloc[-1] for shown, side in sides.items()}
        actions = {shown: row["actions"] / max(row["successes"], 1) for shown, row in last.items()}
        steps = sides[False].index.get_level_values("env_steps").to_numpy(float)
        found.setdefault(arm, {})[int(seed)] = Curve(
            steps, rates[False], rates[True], float(actions[False]), float(actions[True])
        )
    return found
