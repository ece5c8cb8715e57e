"""Damaged or partial files: refused with their name, or tolerated where a metric is simply missing."""

import numpy as np
import pytest

from crl.config import from_mapping
from crl.errors import DataError
from crl.report.facts import machine, parameters, versions
from crl.report.inputs import read_effects, read_evaluation, read_rounds, read_transcripts


def test_the_stages_files_are_read_whole(inputs):
    assert inputs.rounds.rounds == 40
    assert inputs.rounds.get("rollout/success_guided").shape == (40,)
    assert np.isnan(inputs.rounds.get("rollout/success_guided")[0])
    assert inputs.rounds.get("no/such_metric") is None
    assert inputs.rounds.total("rollout/episodes") == 40 * 96
    assert (len(inputs.effects), len(inputs.transcripts)) == (16, 10)
    assert inputs.evaluation.tasks == ("key", "maze", "river", "room", "all")


@pytest.mark.parametrize(
    ("text", "named"),
    [("a,b\n1,2\n3\n", "line 3"), ("a,b\n1,x\n", "line 2.*'x'"), ("a\n<script>\n", "line 2")],
)
def test_a_damaged_table_of_rounds_names_its_line(tmp_path, text, named):
    file = tmp_path / "rounds.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=named):
        read_rounds(file)


def test_an_empty_table_has_no_rounds(tmp_path):
    file = tmp_path / "rounds.csv"
    file.write_text("")
    assert read_rounds(file).rounds == 0


@pytest.mark.parametrize("read", [read_effects, read_evaluation, read_transcripts])
@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'[{"id": 3}]', b'{"before": []}', b"[" * 100_000])
def test_damaged_json_is_a_data_error_that_names_the_file(tmp_path, read, content):
    file = tmp_path / "damaged.json"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged\.json|expected shape"):
        read(file)


def test_a_missing_file_is_a_data_error_with_a_remedy(tmp_path):
    with pytest.raises(DataError, match="Remedy"):
        read_effects(tmp_path / "nothing.json")


def test_parameters_name_every_field_and_mark_what_differs():
    roomy = {"context_tokens": 20_000}
    mapping = {
        "tasks": {"mix": {"maze": {"level": "MiniHack-MazeWalk-9x9-v0"}}},
        "models": {"actor": roomy, "extractor": roomy},
    }
    here = from_mapping(mapping | {"run": {"seed": 8}})
    rows = parameters(here, from_mapping(mapping))
    assert [(row.name, row.value, row.reference) for row in rows if row.changed] == [("run.seed", "8", "7")]
    assert "tasks.mix.maze.level" in {row.name for row in rows}


def test_facts_name_the_software_and_the_machine():
    assert {"python", "torch"} <= set(versions())
    assert "cores" in machine()


def test_what_was_done_after_the_last_round_is_told_and_counts_as_no_round(tmp_path):
    (tmp_path / "rounds.csv").write_text("round,actor/flat_share,rollout/episodes\n0,,8\n1,0.5,8\n2,0.25,\n")
    table = read_rounds(tmp_path / "rounds.csv")
    assert (table.rounds, table.played, table.total("actor/flat_share")) == (3, 2, 0.75)
