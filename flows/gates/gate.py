"""The gate: rules are evaluated, the data docs are drawn, and bad data raise `GateFailed`."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from crl.errors import ConfigError
from flows.gates import docs_site
from flows.gates.docs_site import Entry
from flows.gates.frames import Data, fits, load
from flows.gates.message import GateFailed, told
from flows.gates.rules import Rule, Suite

if TYPE_CHECKING:
    from flows.gates.engine import Engine

_LONGEST_RUN = 120  # characters of a folder's name


def check(data: Data, suite: Suite, *, docs: Path, name: str | None = None) -> Entry:
    """Check one data set and draw its pages under `docs`. Raises GateFailed; DataError for a file that cannot be read."""
    with gates(docs) as opened:
        return opened.check(data, suite, name=name)


@contextmanager
def gates(docs: Path) -> Iterator["Gates"]:
    """Several data sets; the pages of those that passed are drawn once, at the end or before a failure is raised."""
    opened = Gates(docs)
    try:
        yield opened
    finally:
        opened.publish()


class Gates:
    """Checks that share one context. Not for several threads at once."""

    def __init__(self, docs: Path) -> None:
        self._docs = docs
        self._drawn_next: dict[tuple[str, str], tuple[Entry, Suite]] = {}

    def check(self, data: Data, suite: Suite, *, name: str | None = None) -> Entry:
        """Raises GateFailed, with the pages drawn. `name`: what the data set is called; by default its path."""
        name = name or (str(data) if isinstance(data, Path) else suite.name)
        run = (suite.name, re.sub(r"[^\w.@=-]+", "_", name)[-_LONGEST_RUN:].lstrip("."))
        frame = load(data, suite.columns)
        self._rows(run).unlink(missing_ok=True)
        rules, found = self._evaluate(suite, run[1], frame)
        entry = Entry(name, suite.name, time.time(), len(frame), len(rules), tuple(found))
        self._drawn_next[run] = entry, suite
        if found:
            page = self.publish()[run]
            rows = data if isinstance(data, Path) else self._keep(data, run)
            lines = [
                f"{name}: {len(found)} of {len(rules)} rules of the gate {suite.name} are broken",
                *(f"  - {item}" for item in found),
                f"Rows: counted from 0 in {rows}",
                f"Data docs: {page} (all gates: {self._docs / docs_site.INDEX})",
                f"Remedy: {suite.remedy}",
            ]
            raise GateFailed("\n".join(lines), found, page)
        return entry

    def publish(self) -> dict[tuple[str, str], Path]:
        """Draw what was checked since the last call, and the index of all: 0.5 s, and 15 ms more per data set."""
        if not self._drawn_next:
            return {}
        drawn, self._drawn_next = self._drawn_next, {}
        suites = {suite.name: suite for _, suite in drawn.values()}
        pages = self._engine.build(drawn, suites.values())
        docs_site.publish(self._docs, {run: entry for run, (entry, _) in drawn.items()}, pages)
        return dict(pages)

    @cached_property
    def _engine(self) -> "Engine":
        try:
            from flows.gates.engine import Engine  # Great Expectations: 4 s and 280 MB
        except ImportError as error:
            raise ConfigError(
                f"great_expectations: not installed ({error}), and no data enter training unchecked. Remedy: make install"
            ) from error
        return Engine(self._docs)

    def _evaluate(self, suite: Suite, run: str, frame: pd.DataFrame) -> tuple[tuple[Rule, ...], list[str]]:
        """The rules that were evaluated, and what is told of those that are broken.

        Each costs 10 ms, so rules of shape are evaluated only where the shape is wrong, and then only these.
        """
        if not fits(frame, suite.columns):
            missing = any(column not in frame for column in suite.columns)
            shape = suite.shape[:1] if missing else suite.shape
            if found := self._broken(suite, run, shape, frame):
                return shape, found
        return suite.rules, self._broken(suite, run, suite.rules, frame.assign(**suite.derive(frame)))

    def _broken(self, suite: Suite, run: str, rules: tuple[Rule, ...], frame: pd.DataFrame) -> list[str]:
        results = self._engine.validate(suite, run, rules, frame)
        return [told(rule, frame.get(suite.key), result) for rule, result in results if not result.success]

    def _keep(self, frame: pd.DataFrame, run: tuple[str, str]) -> Path:
        """A frame that failed can be looked at until it passes. A column of mixed types would fit no Parquet file."""
        file = self._rows(run)
        file.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(file, index=False)
        return file

    def _rows(self, run: tuple[str, str]) -> Path:
        return self._docs / "rows" / run[0] / f"{run[1]}.csv"
