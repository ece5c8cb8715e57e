"""What a suite is made of: plain values, so that writing one down costs no import of Great Expectations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

TYPES: dict[str, tuple[str, ...]] = {
    "text": ("str",),
    "integer": ("int64", "int32", "int16", "int8"),  # holds no missing value: with one, a column is of floats
    "number": ("float64", "float32", "int64", "int32"),
    "flag": ("bool",),
}
Where = tuple[str, Literal["==", "!="], Any]  # column, comparison, value


@dataclass(frozen=True, slots=True)
class Rule:
    """One expectation: a class of Great Expectations with its arguments, and what it says in words."""

    expect: str  # class in `great_expectations.expectations`
    says: str  # unique within a suite; the sentence of messages and data docs
    args: Mapping[str, Any] = field(default_factory=dict)
    where: Where | None = None  # only rows of which this is true


@dataclass(frozen=True, slots=True)
class Suite:
    """All that one kind of data set must be."""

    name: str  # of its folder in the data docs
    key: str  # the column that names a row in messages
    columns: Mapping[str, str]  # columns that must be there, and their kind (of TYPES)
    rules: tuple[Rule, ...]
    remedy: str
    derive: Callable[[pd.DataFrame], Mapping[str, Any]] = lambda frame: {}
    # ^ columns that the rules need besides: what spans rows or tables becomes a value of each row

    @property
    def shape(self) -> tuple[Rule, ...]:
        """Columns and their types: without them no other rule means anything."""
        columns = {"column_set": list(self.columns), "exact_match": False}
        return (
            Rule("ExpectTableColumnsToMatchSet", f"has the columns {', '.join(self.columns)}", columns),
            *(
                Rule(
                    "ExpectColumnValuesToBeInTypeList", f"{column} is of type {kind}",
                    {"column": column, "type_list": list(TYPES[kind])},
                )
                for column, kind in self.columns.items()
            ),
        )  # fmt: skip

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        return (*self.shape, *self.rules)


def _on_column(expect: str) -> Callable[..., Rule]:
    """What makes a rule on one column; `args` are those of the expectation."""

    def rule(column: str, says: str, *, where: Where | None = None, **args: Any) -> Rule:
        return Rule(expect, says, {"column": column, **args}, where)

    return rule


unique = _on_column("ExpectColumnValuesToBeUnique")
not_null = _on_column("ExpectColumnValuesToNotBeNull")
null = _on_column("ExpectColumnValuesToBeNull")
# Missing values pass these: `not_null` is a rule of its own.
between = _on_column("ExpectColumnValuesToBeBetween")
one_of = _on_column("ExpectColumnValuesToBeInSet")
none_of = _on_column("ExpectColumnValuesToNotBeInSet")
matches = _on_column("ExpectColumnValuesToMatchRegex")
length_between = _on_column("ExpectColumnValueLengthsToBeBetween")
mean_between = _on_column("ExpectColumnMeanToBeBetween")


def filled(*columns: str, where: Where | None = None) -> tuple[Rule, ...]:
    """No value is missing; an empty text is a value."""
    rows = f"every row with {' '.join(map(str, where))}" if where else "every row"
    return tuple(not_null(column, f"{rows} has {column}", where=where) for column in columns)


def at_least(larger: str, smaller: str, says: str) -> Rule:
    """`larger` >= `smaller` in every row that has both."""
    pair = {"column_A": larger, "column_B": smaller, "or_equal": True, "ignore_row_if": "either_value_is_missing"}
    return Rule("ExpectColumnPairValuesAToBeGreaterThanB", says, pair)


def row_count(says: str, low: int, high: int) -> Rule:
    return Rule("ExpectTableRowCountToBeBetween", says, {"min_value": low, "max_value": high})
