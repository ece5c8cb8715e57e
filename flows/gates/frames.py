"""Data sets as the frames that are checked: the columns that a suite reads, of types that tell them apart."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from crl.errors import DataError
from flows.gates.rules import TYPES

Data = pd.DataFrame | Path


def load(data: Data, columns: Mapping[str, str]) -> pd.DataFrame:
    """Those of the columns (name -> kind) that are there, rows numbered from 0, with types that Great Expectations can tell
    apart: it knows neither pandas' `str` nor its nullable types. Raises DataError for a file that is no Parquet."""
    frame = data if isinstance(data, pd.DataFrame) else _read(data, columns)
    frame = frame[[column for column in columns if column in frame]].reset_index(drop=True)
    return frame.assign(**{column: _plain(frame[column], columns[column]) for column in frame})


def _read(data: Path, columns: Collection[str]) -> pd.DataFrame:
    if not data.is_file():
        raise DataError(f"{data}: missing. Remedy: run the stage that writes it (`dvc repro`)")
    try:
        there = set(pq.read_schema(data).names)
        return pq.read_table(data, columns=[column for column in columns if column in there]).to_pandas()
    except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
        raise DataError(f"{data}: not a Parquet file ({error}). Remedy: delete it and run the stage again") from error


def _plain(column: pd.Series, kind: str) -> pd.Series:
    if column.empty:  # an empty file may have lost its types
        return column.astype({"text": "object", "integer": "int64", "number": "float64", "flag": "bool"}[kind])
    if pd.api.types.is_string_dtype(column.dtype):
        return column.astype(object)
    if column.dtype == object and kind != "text" and column.isna().all():
        return column.astype("float64")
    if pd.api.types.is_extension_array_dtype(column.dtype) and pd.api.types.is_numeric_dtype(column.dtype):
        return column.astype("float64") if column.isna().any() else pd.Series(column.to_numpy())
    return column


def fits(frame: pd.DataFrame, columns: Mapping[str, str]) -> bool:
    """Whether all columns are there and of their type, told quickly: only then do the other rules mean anything."""
    return all(column in frame and _is_of(frame[column], TYPES[kind]) for column, kind in columns.items())


def _is_of(column: pd.Series, types: Collection[str]) -> bool:
    if column.dtype == object:
        return "str" in types and pd.api.types.infer_dtype(column, skipna=True) in ("string", "empty")
    return str(column.dtype) in types
