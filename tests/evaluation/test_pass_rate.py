"""pass@k before training: unbiased figures, durable attempts, a filter that says what it does."""

import json
from dataclasses import replace
from itertools import combinations
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.config.play import FilterConfig
from crl.errors import DataError
from crl.evaluation.pass_rate import COLUMNS, Attempt, AttemptLog, kept, pass_at_k, table, timings
from crl.types import Task

TASKS = [Task(f"toy/train/{seed}", "toy", "swe", "local", seed, 5) for seed in range(3)]


def attempt(task: Task, number: int, success: bool) -> Attempt:
    return Attempt(task.id, number, success, env_steps=3, tokens=7, seconds=0.5)


@given(st.integers(1, 9), st.data())
def test_pass_at_k_is_the_share_of_samples_of_k_that_hold_a_success(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    outcomes = [True] * c + [False] * (n - c)
    samples = list(combinations(outcomes, k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, samples)) / len(samples))


def test_pass_at_k_of_fewer_attempts_than_k_is_unknown_and_nonsense_is_refused():
    assert isnan(pass_at_k(4, 2, 8))
    with pytest.raises(DataError, match="Remedy"):
        pass_at_k(4, 5, 1)


@given(st.lists(st.lists(st.booleans(), min_size=16, max_size=16), min_size=3, max_size=3))
def test_a_tables_row_agrees_with_its_attempts_and_its_bounds_hold_its_estimate(outcomes):
    tried = {
        task.id: [attempt(task, i, success) for i, success in enumerate(tries)]
        for task, tries in zip(TASKS, outcomes, strict=True)
    }
    rows = table(TASKS, tried)
    for row, tries in zip(rows, outcomes, strict=True):
        assert tuple(row) == COLUMNS
        assert (row["n"], row["c"]) == (16, sum(tries))
        assert row["rate_low"] <= row["rate"] == row["c"] / 16 <= row["rate_high"]
        for k in (1, 2, 4, 8, 16):
            assert row[f"pass_{k}_low"] <= row[f"pass_{k}"] <= row[f"pass_{k}_high"]
        passes = [row[f"pass_{k}"] for k in (1, 2, 4, 8, 16)]
        assert passes == sorted(passes)
        assert passes[0] == pytest.approx(row["rate"])
        assert (row["env_steps"], row["tokens"]) == (48, 112)
    assert [row["seconds"] for row in timings(TASKS, tried)] == [8.0] * 3


def test_the_filter_drops_what_never_and_what_nearly_always_passes_and_keeps_what_was_not_tried():
    tasks = [replace(TASKS[0], id=str(c)) for c in range(17)] + [replace(TASKS[0], id="untried")]
    rates = {str(c): c / 16 for c in range(17)}
    assert [task.id for task in kept(tasks, rates, FilterConfig())] == [*map(str, range(1, 13)), "untried"]
    everything = kept(tasks, rates, FilterConfig(above=-1, at_most=1))
    assert len(everything) == 18


def test_attempts_outlive_a_kill_in_the_middle_of_a_line(tmp_path):
    file = tmp_path / "log" / "attempts.jsonl"
    log = AttemptLog(file)
    log.add(attempt(TASKS[0], 0, True))
    log.add(attempt(TASKS[0], 1, False))
    log.close()
    with file.open("ab") as stream:
        stream.write(b'{"task_id": "toy/tr')  # the kill
    log = AttemptLog(file)
    assert len(log) == 2
    assert (TASKS[0].id, 1) in log
    assert (TASKS[0].id, 2) not in log
    log.add(attempt(TASKS[0], 2, True))
    log.close()
    assert [json.loads(line)["attempt"] for line in file.read_text().splitlines()] == [0, 1, 2]
    assert [one.success for one in AttemptLog(file).of(TASKS[:1], 2)[TASKS[0].id]] == [True, False]
