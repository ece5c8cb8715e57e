"""What a failed gate says of a rule: how many rows break it, and a few of them."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from crl.errors import CrlError
from flows.gates.rules import Rule

EXAMPLES = 5
_LONGEST_VALUE = 80  # characters; a payload can be of 30 KB


class GateFailed(CrlError):
    """Data that must not enter training. `broken`: a line for each rule that they break; `page`: all that was found."""

    def __init__(self, message: str, broken: Sequence[str], page: Path) -> None:
        super().__init__(message)
        self.broken, self.page = tuple(broken), page


def told(rule: Rule, keys: pd.Series | None, result: Any) -> str:
    """What Great Expectations found of a broken rule. Rows are counted from 0 and named by `keys`."""
    values = result.result
    count = values.get("unexpected_count", 0)
    if not count:
        return f"{rule.says}: {_of_table(values, result.exception_info)}"
    rows, unexpected = values.get("partial_unexpected_index_list") or (), values.get("partial_unexpected_list") or ()
    shown = zip(rows[:EXAMPLES], unexpected, strict=False)
    examples = [f"row {row}{_key(keys, row)}: {_short(value)}" for row, value in shown]
    found = f"{rule.says}: {count:,} of {values['element_count']:,} rows"
    return f"{found}, such as {'; '.join(examples)}" if examples else found


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
