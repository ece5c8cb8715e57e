"""A run that starts from another bank: its first round is guided by it, and a kill before the first commit imports it once."""

import asyncio
from pathlib import Path

import pytest

from crl.bank.snapshot import FILE_NAME, read_records
from crl.bank.start import Foreign
from crl.files import digest_folder, round_folder
from crl.round.state import latest_state
from tests.flows.agents import ADVICE, write_bank
from tests.round import runs

# Shown at once, and left alone: an extractor would improve it in the first round.
SHOWN = ["rounds.bank_warmup=0", "retrieval.rule=newest", "extractor.until_round=0"]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CRL_BANKS", str(tmp_path / "shelf"))
    write_bank(tmp_path / "earlier")
    return Foreign(*read_records(tmp_path / "earlier" / FILE_NAME)).keep()


def test_a_run_is_guided_by_the_imported_bank_from_its_first_round(folder: Path, start: str) -> None:
    config = runs.small_config("lockstep", 1, f"bank.start={start}", *SHOWN)
    run = runs.open_run(config, folder)
    assert [entry.text for entry in run.parts.bank.entries()] == [ADVICE]
    asyncio.run(run.close())  # before its first commit
    [report] = asyncio.run(runs.play(config, folder))
    state = latest_state(folder / "run")
    snapshot = round_folder(state / "snapshots", 0)
    records, known, _ = read_records(snapshot / FILE_NAME)
    [imported] = [each.entry for each in records]
    assert (imported.text, imported.origin.purpose, imported.origin.completion_id[:32]) == (ADVICE, "import", start)
    assert imported.shown > 0
    assert known.effect(imported.id).groups > 0
    assert report.metrics["bank/size"] == 1
    first = digest_folder(snapshot)
    (folder / "again").mkdir()
    (folder / "again" / "models").symlink_to(folder / "models")
    asyncio.run(runs.play(config, folder / "again"))
    assert digest_folder(round_folder(latest_state(folder / "again" / "run") / "snapshots", 0)) == first
