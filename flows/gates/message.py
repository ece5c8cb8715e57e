"""What a failed gate says of a rule: how many rows break it, and a few of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from crl.errors import CrlError
from flows.gates.rules import Rule

EXAMPLES = 5
_LONGEST_VALUE = 80  # characters; a payload can be of 30 KB


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that the data break. `rows` are counted from 0; empty for a rule on the whole table."""

    says: str
    column: str  # "" for a rule on the whole table
    count: int  # of unexpected values
    rows: tuple[int, ...]  # up to EXAMPLES
    found: str  # the unexpected values in words

    def __str__(self) -> str:
        return f"{self.says}: {self.found}"


class GateFailed(CrlError):
    """Data that must not enter training."""

    def __init__(self, message: str, name: str, broken: Sequence[Broken], page: Path) -> None:
        super().__init__(message)
        self.name, self.broken, self.page = name, tuple(broken), page


def broken(rule: Rule, keys: pd.Series | None, result: Any) -> Broken:
    """From Great Expectations' result of one expectation. `keys` name the rows."""
    values, rows = result.result, tuple(int(row) for row in result.result.get("partial_unexpected_index_list") or ())
    column = rule.args.get("column") or rule.args.get("column_A") or ""
    count = values.get("unexpected_count", 0)
    if count:
        shown = zip(rows[:EXAMPLES], values.get("partial_unexpected_list") or [], strict=False)
        examples = [f"row {row}{_key(keys, row)}: {_short(value)}" for row, value in shown]
        found = f"{count:,} of {values['element_count']:,} rows"
        found += f", such as {'; '.join(examples)}" if examples else ""
    else:
        found = _of_table(values, result.exception_info)
    return Broken(rule.says, column, count, rows[:EXAMPLES], found)


def _of_table(values: Mapping[str, Any], exception: Mapping[str, Any] | None) -> str:
    if missing := values.get("details", {}).get("mismatched", {}).get("missing"):
        return f"without {', '.join(map(str, missing))}"
    if "observed_value" in values:
        return f"found {_short(values['observed_value'])}"
    return f"could not be evaluated ({_short(exception or values)})"


def _key(keys: pd.Series | None, row: int) -> str:
    key = None if keys is None else keys.iloc[row]
    return "" if key is None or pd.isna(key) else f" ({_cut(str(key))})"


def _short(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "nothing"
    if isinstance(value, tuple | list):
        return ", ".join(map(_short, value))
    if hasattr(value, "item"):
        value = value.item()
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}… ({len(text):,} characters)"
