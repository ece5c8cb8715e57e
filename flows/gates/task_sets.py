"""Task sets: what an entry of the mix may be played on, and what its splits may not share."""

import hashlib
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from crl.config import Config
from crl.errors import DataError
from crl.tasks.sets import SPLITS, request
from flows.gates.frames import load
from flows.gates.rules import Suite, between, filled, matches, not_null, null, one_of, row_count, unique

_FILLED = r"\S"  # a character that is not blank
_COLUMNS = {
    "id": "text", "name": "text", "family": "text", "level": "text", "seed": "integer", "max_steps": "integer",
    "split": "text", "payload": "text", "goal": "text", "difficulty": "number",
}  # fmt: skip


def suite(config: Config, name: str, split: str, folder: Path) -> Suite:
    """Of `folder/<name>/<split>.parquet`: at most as many as asked for, and nothing in common with the other split of any
    entry of the same family, as far as those tables are there."""
    mix, entry = config.tasks.mix, config.tasks.mix[name]
    [other] = set(SPLITS) - {split}
    relatives = {
        f"{key}/{other}": folder / key / f"{other}.parquet" for key, of in mix.items() if of.family == entry.family
    }
    apart_from = {key: file for key, file in relatives.items() if file.is_file()}
    elsewhere = " or ".join(apart_from)
    rows = request(config, name, split).count
    low, high = entry.min_difficulty, entry.max_difficulty
    bounded = [
        between("difficulty", f"difficulty is {_bounds(low, high)}", min_value=low, max_value=high),
        not_null("difficulty", "every task has a difficulty, since it is bounded"),
    ]
    apart = [
        null("id_elsewhere", f"no id is also in {elsewhere}"),
        null("instance_elsewhere", f"no (level, seed, payload) is also in {elsewhere}"),
        null("payload_elsewhere", f"no payload is also in {elsewhere}"),
    ]
    return Suite(
        name=re.sub(r"\W", "_", f"task_set_{name}_{split}"),
        key="id",
        columns=_COLUMNS,
        rules=(
            row_count(f"has 1 to {rows:,} rows", 1, rows),
            *filled("id", "name", "family", "level", "split", "payload", "goal"),
            unique("id", "no two tasks have the same id"),
            one_of("name", f"every task belongs to the entry {name}", value_set=[name]),
            one_of("family", f"every task is played by {entry.family}", value_set=[entry.family]),
            one_of("level", f"every task is of the level {entry.level}", value_set=[entry.level]),
            one_of("split", f"every task is of the split {split}", value_set=[split]),
            between("seed", "seeds are 0 or more", min_value=0),
            between("max_steps", "every task gives at least one step", min_value=1),
            unique("instance", "no two tasks are the same (level, seed, payload)"),
            matches("goal", "no goal is empty", regex=_FILLED),
            *(bounded if (low, high) != (None, None) else ()),
            *(apart if apart_from else ()),
        ),
        remedy=f"mend tasks.mix.{name} in the parameters or the task_set of the family {entry.family}, then run the stage "
        "prepare again",
        derive=partial(_task_columns, apart_from={key: _instances(key, file) for key, file in apart_from.items()}),
    )


def _instances(name: str, file: Path) -> pd.DataFrame:
    needed = {column: _COLUMNS[column] for column in ("id", "level", "seed", "payload")}
    frame = load(file, needed)
    if missing := set(needed) - set(frame):
        raise DataError(f"{name}: no columns {', '.join(sorted(missing))}. Remedy: run the stage that writes it again")
    return frame.assign(instance=_instance(frame))


def _task_columns(frame: pd.DataFrame, apart_from: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """`instance`: a task's content as a short text; `*_elsewhere`: where else it is, null for nowhere."""
    frame = frame.assign(instance=_instance(frame))
    columns = {"instance": frame.instance}
    for column in ("id", "instance", "payload"):
        own, found = {value for value in frame[column].dropna() if value != ""}, {}
        for other, rows in apart_from.items():
            found |= {value: f"row {row} of {other}" for row, value in rows[column].items() if value in own}
        columns[f"{column}_elsewhere"] = frame[column].map(found.get).astype(object)
    return columns


def _instance(frame: pd.DataFrame) -> pd.Series:
    """A payload can be of 30 KB: its digest stands for it."""
    digests = frame.payload.map(
        lambda payload: f" payload {hashlib.blake2b(payload.encode(), digest_size=8).hexdigest()}" if payload else "",
        na_action="ignore",
    )
    levels, seeds = frame.level.astype(object).fillna(""), frame.seed.astype(str).astype(object)
    return levels + " seed " + seeds + digests.astype(object).fillna("")


def _bounds(low: float | None, high: float | None) -> str:
    return " and ".join(
        f"{words} {bound:g}" for words, bound in (("at least", low), ("at most", high)) if bound is not None
    )
