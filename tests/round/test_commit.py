"""Checkpoints: what is found at a start is taken up, or refused before anything is changed."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from crl.config.compose import composed
from crl.errors import DataError
from crl.files import write_json
from crl.round.commit import report_file, reports, resume
from crl.round.report import RoundReport
from crl.round.state import StateFolder
from tests.round.runs import CONF


def keep(state: StateFolder, report: RoundReport) -> None:
    write_json(
        report_file(state.path, report),
        {"round": report.round, "metrics": {}, "learned": "", "closing": report.closing},
    )


def test_a_checkpoint_of_another_release_is_refused_and_nothing_is_undone(tmp_path: Path) -> None:
    state = StateFolder(tmp_path, "lineage")
    write_json(state.checkpoints / "round_0000/manifest.json", {"round": 0, "buffer": []})
    keep(state, RoundReport(1, {}, ""))
    with pytest.raises(
        DataError, match=r"round_0000/manifest.json: format = None, not 3: another release(.|\n)*Remedy"
    ):
        resume(SimpleNamespace(state=state))
    assert [report.round for report in reports(tmp_path)] == [1]


def test_reports_that_no_checkpoint_stands_for_are_removed_at_a_start(tmp_path: Path) -> None:
    state, positions = StateFolder(tmp_path, "lineage"), []
    for report in (RoundReport(0, {}, ""), RoundReport(1, {}, "", closing=True)):
        keep(state, report)
    (state.snapshots / "round_0000").mkdir(parents=True)
    bank = SimpleNamespace(truncate_to=positions.append, embedder=("hash", 8))
    assert resume(SimpleNamespace(state=state, bank=bank, config=composed("quick", folder=CONF))).round == -1
    assert (reports(tmp_path), positions, list(state.snapshots.iterdir())) == ([], [0], [])


def test_a_run_whose_checkpoints_are_gone_does_not_empty_its_bank(tmp_path: Path) -> None:
    state = StateFolder(tmp_path, "lineage")
    for round_ in range(2):
        (state.snapshots / f"round_{round_:04d}").mkdir(parents=True)
    with pytest.raises(DataError, match=r"checkpoints: no checkpoint, though 2 rounds were committed.*Remedy"):
        resume(SimpleNamespace(state=state))
    assert len(list(state.snapshots.iterdir())) == 2
