"""The page of seconds: what a round waited for, by span, from the table that `co_evolve` leaves."""

import re
from pathlib import Path

import numpy as np

from crl.report.inputs import RoundsTable
from crl.report.times import by_span, write_times_page
from crl.spans import SPANS

WAITED_S = {"generate": [2.0, 4.0], "env_step": [1.0, 0.5], "distil": [0.0, 0.0]}
WORKED_S = {"generate": [2.0, 4.0], "env_step": [1.0, 0.5], "distil": [0.5, 1.5]}  # distilled beside the rollouts


def timings(rounds_s: list[float], waited_s: dict[str, list[float]], worked_s: dict[str, list[float]]) -> RoundsTable:
    columns = {"time/round_s": rounds_s}
    columns |= {f"time/{span}_s": column for span, column in waited_s.items()}
    columns |= {f"time/{span}_total_s": column for span, column in worked_s.items()}
    return RoundsTable(tuple(columns), np.array([*columns.values()], float).T)


def rows_of(page: str) -> dict[str, list[str]]:
    rows = [re.findall(r"<td[^>]*>(?:<b>)?(.*?)(?:</b>)?</td>", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", page)]
    return {name: figures for name, *figures in rows}


def test_the_spans_are_told_by_what_was_waited_for_and_add_up_to_the_clock(tmp_path: Path) -> None:
    write_times_page(timings([3.5, 4.5], WAITED_S, WORKED_S), "abc<b>", tmp_path / "times.html")
    page = (tmp_path / "times.html").read_text()
    assert "2 rounds in 8 s; the median round took 4.00 s" in page
    assert "abc&lt;b&gt;" in page
    rows = rows_of(page)
    assert list(rows) == ["generate", "env_step", "distil", "between the spans"]
    assert rows["generate"] == ["6.0", "75.0 %", "3.000", "6.0"]
    assert rows["distil"] == ["0.0", "0.0 %", "0.000", "2.0"]
    assert rows["between the spans"] == ["0.5", "6.2 %", "0.250", ""]
    assert sum(float(figures[0]) for figures in rows.values()) == 8
    assert page.count("<svg") == 1
    assert "<script" not in page


def test_all_spans_and_rounds_without_one_are_drawn(tmp_path: Path) -> None:
    every = {span: [float("nan"), 1.0 + place] for place, span in enumerate(SPANS)}
    table = timings([0.0, 90.0], every, every)
    write_times_page(table, "abc", tmp_path / "times.html")
    page = (tmp_path / "times.html").read_text()
    assert [span.name for span in by_span(table)] == [*reversed(SPANS)]
    assert "others" in page
    assert len(rows_of(page)) == len(SPANS) + 1


def test_a_run_of_which_no_span_is_known_has_a_page_without_a_figure(tmp_path: Path) -> None:
    write_times_page(timings([1.0], {}, {}), "abc", tmp_path / "times.html")
    assert "<svg" not in (tmp_path / "times.html").read_text()
