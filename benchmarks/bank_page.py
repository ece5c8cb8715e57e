"""The page of a large bank in headless Chromium: its size, its first paint, a search and a scroll.

    python -m benchmarks.bank_page [--entries 20000] [--realtime] [--repeats N] [--json FILE]

Entries are made up: texts of 45 and situations of 60 words that are drawn at random from this project's own pages, which no
compression can foresee as it can a model's phrases; a tenth of the situations is shared, a quarter of the entries is measured in
up to six of 40 rounds. Rows: megabytes of the file; of a fresh page seconds to the first contentful paint and until the entries
are shown; of a search (of the words that are typed, each letter a search of all entries) milliseconds from a key to the
painted frame, at the median and at most; of 100 jumps through the list milliseconds to make the rows of one, likewise. The
baseline is the same with a tenth of the entries. `--realtime`: as `benchmarks.against` has it.
"""

import argparse
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from playwright.sync_api import Page

from benchmarks.common import Row, measure_interleaved, row, show, write_json
from crl.bank.effect import Belief, EntryEffect
from crl.bank.records import Record, State, Writing
from crl.config.play import RetrievalConfig
from crl.report.bank_history import History, Known, Moment
from crl.report.bank_page import write_bank_page
from crl.seeding import stream
from crl.types import Experience, Origin, stable_id
from tests.browser.chromium import opened

ROUNDS, DIM = 40, 384
PAGES = Path(__file__).parents[1] / "docs"
TYPED = "model level"
MEASURES = {
    "first_paint": "s", "entries_shown": "s", "search_p50": "ms", "search_max": "ms", "scroll_p50": "ms", "scroll_max": "ms"
}  # fmt: skip

LOADED = """async () => {
  const at = name => performance.getEntriesByName(name)[0]?.startTime / 1000;
  while (!at("first-contentful-paint") || !at("entries shown")) await new Promise(done => setTimeout(done, 5));
  return [at("first-contentful-paint"), at("entries shown")];
}"""
SEARCH = """async typed => {
  const took = [], box = document.getElementById("search");
  haystack();
  for (let length = 1; length <= typed.length; length++) {
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    const start = performance.now();
    box.value = typed.slice(0, length);
    box.dispatchEvent(new Event("input", {bubbles: true}));
    document.getElementById("entries").getBoundingClientRect();
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    took.push(performance.now() - start);
  }
  return took;
}"""
SCROLL = """async () => {
  const took = [], box = document.getElementById("entries");
  for (let step = 0; step < 100; step++) {
    box.scrollTop = step / 100 * box.scrollHeight;
    const start = performance.now();
    list.paint();
    box.getBoundingClientRect();
    took.push(performance.now() - start);
    await new Promise(done => requestAnimationFrame(done));
  }
  return took;
}"""


def history(entries: int) -> History:
    rng = stream(7, "benchmark-bank-page", entries)
    words = np.array(re.findall(r"[\w'-]+", "\n".join(page.read_text() for page in sorted(PAGES.glob("*.md")))))
    texts = [" ".join(words[rng.integers(len(words), size=45)]) for _ in range(entries)]
    situations = [" ".join(words[rng.integers(len(words), size=60)]) for _ in range(max(1, entries * 9 // 10))]
    keys = rng.standard_normal((entries, DIM), dtype=np.float32)
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    born = np.sort(rng.integers(0, ROUNDS, entries))
    records, known, writings = [], {}, {}
    effects: list[dict[str, EntryEffect]] = [{} for _ in range(ROUNDS)]
    for i, text in enumerate(texts):
        id_, origin = stable_id("benchmark", i), Origin(f"c{i}", f"r{born[i]}.g{i % 16}.e4", int(born[i]), "distil")
        entry = Experience(id_, f"task-{i % 6}", text, situations[i % len(situations)], origin, shown=i % 40, written=1)
        records.append(Record(entry, keys[i], State.LIVE, i, i, 0, 0, 0))
        writings[id_] = [Writing(i, id_, origin, entry.key_text, keys[i], ())]
        effect = None
        for groups, at in enumerate(sorted(rng.integers(born[i], ROUNDS, 6 if i % 4 == 0 else 0)), start=1):
            mean, half = float(rng.normal(0, 0.2)), float(rng.uniform(0.1, 0.6))
            effect = effects[at][id_] = EntryEffect(mean, mean - half, mean + half, half / 2, groups, 4 * groups)
        known[id_] = Known(effect, Belief(effect.mean if effect else 0.0, 0.2))
    ids = [record.entry.id for record in records]
    moments = [Moment(r, frozenset(ids[: np.searchsorted(born, r, "right")]), effects[r]) for r in range(ROUNDS)]
    return History("ledger", "benchmark", records, known, writings, (), {}, moments)


@contextmanager
def urgent(realtime: bool) -> Iterator[None]:
    """Processes that are started meanwhile leave nothing to others."""
    if realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def measured(page: Page, file: Path) -> dict[str, float]:
    """The figures of MEASURES, of one fresh load."""
    page.goto("about:blank")
    page.goto(file.as_uri())
    paint, shown = page.evaluate(LOADED)
    scrolls, searches = page.evaluate(SCROLL), page.evaluate(SEARCH, TYPED)
    figures = paint, shown, np.median(searches), max(searches), np.median(scrolls), max(scrolls)
    return dict(zip(MEASURES, map(float, figures), strict=True))


def rows(entries: int, repeats: int, realtime: bool = False) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for size in (entries, max(1, entries // 10)):
            files[size] = Path(folder) / f"{size}.html"
            write_bank_page(history(size), files[size], retrieval=RetrievalConfig())
        all_figures: dict[int, list[dict[str, float]]] = {size: [] for size in files}

        def once(size: int) -> float:
            all_figures[size].append(measured(page, files[size]))
            return 0.0

        with urgent(realtime), opened() as page:
            measure_interleaved({str(size): partial(once, size) for size in files}, repeats)
        large, small = ([file.stat().st_size / 1e6] for file in files.values())
        found = [row("megabytes", large, small, unit="MB")]
        for name, unit in MEASURES.items():
            sides = (
                [figures[name] for figures in of_size[1:]] for of_size in all_figures.values()
            )  # the first warms up
            found.append(row(name, *sides, unit=unit))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description="The bank's page in headless Chromium.")
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument(
        "--realtime", action="store_true", help="leave nothing to other processes meanwhile (needs root)"
    )
    parser.add_argument("--repeats", type=int, default=5, help="fresh pages of each size (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as a JSON list")
    options = parser.parse_args()
    found = rows(options.entries, options.repeats, options.realtime)
    show(f"bank_page: {options.entries:,} entries", found)
    write_json(found, options.json)


if __name__ == "__main__":
    main()
