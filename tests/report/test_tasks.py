"""The report's part on tasks: what was played, what was left out, and the histogram of pass rates."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from crl.errors import DataError
from crl.evaluation.pass_rate import Attempt, table
from crl.report.inputs import MixEntry, read_mix, read_tried
from crl.report.page import render_html, render_markdown
from crl.types import Task

BOUNDS = {"policy": "scripted", "above": 0.0, "at_most": 0.8}


def write_table(path, successes: list[int]) -> None:
    tasks = [Task(f"swe/train/{i}", "swe", "swe", "local", i, 9) for i in range(len(successes))]
    tried = {
        task.id: [Attempt(task.id, i, i < c, 4, 9, 1.5) for i in range(16)]
        for task, c in zip(tasks, successes, strict=True)
    }
    pd.DataFrame(table(tasks, tried)).to_parquet(path)


def test_the_histogram_says_who_played_and_how_many_tasks_are_trained_on(inputs, tmp_path):
    write_table(tmp_path / "rates.parquet", [0, 3, 12, 13, 16])
    tried = read_tried(tmp_path / "rates.parquet", **BOUNDS)
    assert [(each.entry, each.n, each.successes, each.kept) for each in tried] == [("swe", 16, (0, 3, 12, 13, 16), 2)]
    mix = (MixEntry("swe", train=2, before=5, held_out=8),)
    page, text = (
        render_html(replace(inputs, mix=mix, tried=tried)),
        render_markdown(replace(inputs, mix=mix, tried=tried)),
    )
    for shown in (page, text):
        assert "a scripted policy of seeded, varied skill" in shown
        assert "2 of 5 tasks are trained on" in shown
    assert "successes in 16 attempts" in page


def test_what_was_left_out_is_said_at_the_head_of_the_tasks_and_its_reason_escaped(inputs, tmp_path):
    rows = {
        "room": {"entry": "room", "before": 9, "train": 9, "held_out": 3},
        "swe": {"entry": "swe", "train": 0, "left_out": "no <b>engine</b>. Remedy: start Docker"},
    }
    (tmp_path / "filter.json").write_text(json.dumps(rows))
    mix = read_mix(tmp_path / "filter.json")
    page, text = render_html(replace(inputs, mix=mix)), render_markdown(replace(inputs, mix=mix))
    assert "swe was left out:" in page
    assert "Remedy: start Docker" in page
    assert "<b>engine" not in page
    assert "swe was left out:" in text
    assert "<b>engine" not in text


def test_files_of_another_kind_are_refused_with_a_remedy(tmp_path):
    (tmp_path / "x").write_text("[1]")
    with pytest.raises(DataError, match="run the stage filter again"):
        read_mix(tmp_path / "x")
    with pytest.raises(DataError, match="run the stage pass_rate again"):
        read_tried(tmp_path / "x", **BOUNDS)
