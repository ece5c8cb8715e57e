"""Where SWE-bench instances come from: a hub name, a Parquet, JSON or JSON Lines file, a folder of them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from crl.envs.errors import EnvUnavailable
from crl.envs.swe.harness import demand_gradable
from crl.envs.swe.instances import Instance, from_row
from crl.errors import DataError
from crl.seeding import derive_seed

_SUFFIXES = (".parquet", ".jsonl", ".json")
_EVAL_EVERY = 5  # one instance in so many is held out: SWE-bench Verified has a single split


def read(source: str, split: str) -> Iterator[Instance]:
    """The instances of a split, in the order of the data; each belongs to exactly one of "train" and "eval"."""
    found = False
    for row in _rows(source):
        try:
            instance = from_row(row)
            demand_gradable(instance)
        except (ValueError, TypeError) as error:
            raise DataError(f"source = {source!r}: a row does not read ({error}). Remedy: mend or remove it") from error
        if split_of(instance.id) == split:
            found = True
            yield instance
    if not found:
        raise DataError(f"source = {source!r}: no instance for split {split!r}. Remedy: give a larger data set")


def split_of(instance_id: str) -> str:
    """Train or eval, by the name alone: adding or removing instances moves no other."""
    return "eval" if derive_seed("swe", "split", instance_id) % _EVAL_EVERY == 0 else "train"


def _rows(source: str) -> Iterator[Mapping[str, Any]]:
    path = Path(source)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
        if not files:
            raise DataError(
                f"source = {source!r}: the folder holds no {', '.join(_SUFFIXES)} file. Remedy: put one there"
            )
        for file in files:
            yield from _file_rows(file)
    elif path.suffix in _SUFFIXES:
        yield from _file_rows(path)
    else:
        yield from _hub_rows(source)


def _file_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    if not file.is_file():
        raise DataError(f"source = {str(file)!r}: no such file. Remedy: correct the path")
    try:
        if file.suffix == ".parquet":
            from pyarrow import parquet

            for batch in parquet.ParquetFile(file).iter_batches(batch_size=64):
                yield from batch.to_pylist()
        elif file.suffix == ".jsonl":
            yield from (json.loads(line) for line in file.read_text().splitlines() if line.strip())
        else:
            content = json.loads(file.read_text())
            yield from content.values() if isinstance(content, dict) else content
    except (ValueError, OSError) as error:
        raise DataError(f"source = {str(file)!r}: cannot be read ({error}). Remedy: export it again") from error


def _hub_rows(name: str) -> Iterator[Mapping[str, Any]]:
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise EnvUnavailable(
            f"source = {name!r}: reading from the hub needs the package datasets ({error}). Remedy: pip install 'crl[swe]' "
            "(`make install`), or give a .parquet, .json or .jsonl file"
        ) from error
    try:
        yield from load_dataset(name, split="test")
    except Exception as error:  # whatever the hub's client raises: network, name, format
        raise DataError(
            f"source = {name!r}: the hub gave no data set ({type(error).__name__}: {str(error)[:300]}). "
            "Remedy: correct the name, or download it and give the file"
        ) from error
