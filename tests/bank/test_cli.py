"""`crl bank` tells the truth about a bank, also while a run writes to it, and undoes rounds on request."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from crl.bank.effect import Use
from crl.bank.ledger import Ledger
from crl.bank.records import Shown
from crl.cli import bank as cli
from crl.cli import main
from crl.errors import BankError, DataError
from tests.bank.samples import add, apply, merge, open_bank, show, update


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A bank with two rounds of history, still open for writing."""
    monkeypatch.setattr(cli, "console", cli.Console(width=200))
    bank = open_bank(tmp_path / "runs" / "abc" / "bank")
    (tmp_path / "runs" / "latest.json").write_text('{"lineage": "abc"}')
    old, other, helpful = apply(bank, "c1", add("go up"), add("wait [here]"), add("take the key"), round=0).added
    show(bank, Shown(old, "r1.g0.e4", 1))
    bank.record_uses([Use(helpful, 1, g, 2, 2, 2, g % 2) for g in range(4)] + [Use(old, 1, 0, 2, 0, 2, 1)])
    new = apply(bank, "c2", update("go up, then left", old), round=1).added[0]
    bank.quarantine(other, "useless", round=1)
    merge(bank, "m1", (new, helpful), "key first, then up and left", round=2)
    yield tmp_path / "runs", bank
    bank.close()


def call(run, *arguments, ok=True):
    result = CliRunner().invoke(cli.app, [arguments[0], "--run", str(run[0]), *arguments[1:]])
    assert (result.exit_code == 0) == ok, result.output
    return result.output


def test_ls_orders_entries_and_gives_the_effect_with_its_interval(run):
    bank = run[1]
    bank.truncate_to(5)  # before the update
    out = call(run, "ls")
    assert out.index("take the key") < out.index("wait [here]") < out.index("go up")
    for effect in map(bank.effect, (entry.id for entry in bank.entries())):
        assert str(effect or "not measured") in out
    assert "not measured" in out
    by_shown = call(run, "ls", "--order", "shown")
    assert by_shown.index("go up") < by_shown.index("take the key")
    assert "0 entries" in call(run, "ls", "--scope", "room")


def test_show_and_blame_follow_an_entry_to_its_completions_and_parents(run):
    merged = run[1].entries()[0]
    assert "key first, then up and left" in call(run, "show", merged.id[:10])
    out = call(run, "blame", merged.id[:10])
    for part in ("m1", "c2", "c1", "r0.g0.e4", "go up", "left in round 1: update", "weights version 2"):
        assert part in out
    result = CliRunner().invoke(cli.app, ["show", "zzz", "--run", str(run[0])])
    assert "zzz: no entry" in str(result.exception)


def test_diff_tells_added_removed_and_changed(run):
    out = call(run, "diff", "0", "1")
    assert "+ go up, then left" in out
    assert "round 0: 3 entries, round 1: 2; 0 added, 1 removed, 1 changed" in out
    assert "round -1: 0 entries, round 0: 3; 3 added, 0 removed, 0 changed" in call(run, "diff", "--", "-1", "0")
    assert "round 0: 3 entries, round 2: 1; 0 added, 1 removed, 1 changed" in call(run, "diff", "0", "2")


@pytest.mark.timeout(120)
def test_blame_and_diff_tell_of_each_ancestor_once_however_often_entries_were_merged(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "console", cli.Console(width=200))
    bank, levels = open_bank(tmp_path / "bank"), 40  # 2 ** 40 ways lead from the last two to the first two
    ids = apply(bank, "c", add("left of 0"), add("right of 0")).added
    known = list(ids)
    for level in range(1, levels):
        ids = merge(bank, f"m{level}", ids, f"left of {level}", f"right of {level}", round=level).added
        known += ids
    out = call((tmp_path, bank), "blame", ids[0])
    told = [line.split()[0] for line in out.splitlines() if not line.startswith(" ")]
    assert sorted(told) == sorted(id_[:8] for id_ in known if id_ != ids[1])
    assert told[0] == ids[0][:8]
    assert f"replaced {known[0][:8]} {known[1][:8]}" in out
    assert "round 0: 2 entries, round 39: 2; 0 added, 0 removed, 2 changed" in call((tmp_path, bank), "diff", "0", "39")
    bank.close()


def test_log_filters_events(run):
    out = call(run, "log", "--round", "1")
    assert out.index("quarantine") < out.index("update") < out.index("shown")
    assert "useless" in call(run, "log", "--kind", "quarantine")


def test_verify_passes_and_fails_with_its_exit_status(run):
    assert "0 disagreements" in call(run, "verify")
    execute, last = run[1].ledger._db.execute, "number = (SELECT max(number) FROM entries)"
    execute(f"UPDATE entries SET text = 'tampered' WHERE {last}")
    assert "its text or its origins are not those that the events added" in call(run, "verify", ok=False)
    execute(f"UPDATE entries SET text = 'key first, then up and left' WHERE {last}")


def test_export_writes_both_formats(run, tmp_path):
    call(run, "export", str(tmp_path / "out.parquet"))
    assert pq.read_table(tmp_path / "out.parquet").to_pylist()[0]["text"] == "key first, then up and left"
    call(run, "export", str(tmp_path / "out.jsonl"))
    assert json.loads((tmp_path / "out.jsonl").read_text())["origin"]["purpose"] == "merge"
    call(run, "export", str(tmp_path / "out.csv"), ok=False)


def test_rollback_undoes_later_rounds_keeps_a_copy_and_refuses_a_running_bank(run, monkeypatch):
    runs, bank = run
    monkeypatch.setattr(cli, "writer_lock", lambda folder, timeout_s: _lock(folder, 0.05))
    assert "another process has been writing" in str(
        CliRunner().invoke(cli.app, ["rollback", "--round", "0", "--yes", "--run", str(runs)]).exception
    )
    bank.close()
    refused = CliRunner().invoke(cli.app, ["rollback", "--round", "7", "--yes", "--run", str(runs)])
    assert "--round 7: the bank's events are of rounds 0 to 2" in str(refused.exception)
    call(run, "rollback", "--round", "-2", "--yes", ok=False)
    out = call(run, "rollback", "--round", "0", "--yes")
    assert "events undone, 3 kept" in out
    assert "3 entries" in call(run, "ls")
    assert "0 disagreements" in call(run, "verify")
    assert len(list((runs / "abc" / "bank").glob("ledger.before-rollback-*.sqlite"))) == 1
    bank.__dict__.update(open_bank(runs / "abc" / "bank").__dict__)  # for the fixture to close


def test_after_dvc_pull_the_entries_are_read_from_the_newest_snapshot_and_what_needs_a_ledger_says_so(
    run, tmp_path, monkeypatch
):
    bank, clone = run[1], tmp_path / "clone"
    bank.truncate_to(1)
    bank.snapshot(clone / "bank/round_0000")
    bank = open_bank(tmp_path / "other")
    helpful, shown = apply(bank, "c1", add("take the key"), add("go [up]"), round=0).added
    show(bank, Shown(shown, "r1.g0.e4", 1))
    bank.record_uses([Use(helpful, 1, g, 2, 2, 2, g % 2) for g in range(4)] + [Use(shown, 1, 0, 2, 0, 2, 1)])
    bank.snapshot(clone / "bank/round_0001")
    told = [call((tmp_path / "other", bank), *command) for command in (["ls"], ["show", helpful[:9]])]
    monkeypatch.chdir(clone)
    for command, expected in zip((["ls"], ["show", helpful[:9]]), told, strict=True):
        result = CliRunner().invoke(cli.app, command)
        assert result.stdout == expected
        assert "no ledger in runs/co_evolve: read from bank/round_0001/bank.parquet" in result.stderr
    for place in (Path("runs/co_evolve"), clone, clone / "bank", clone / "bank/round_0001"):
        call((place, bank), "export", str(tmp_path / "out.parquet"))
        snapshot = clone / "bank/round_0001/bank.parquet"
        assert (tmp_path / "out.parquet").read_bytes() == snapshot.read_bytes()
    for command in (
        ["log"], ["verify"], ["diff", "0", "1"], ["blame", helpful], ["rollback", "--round", "0", "--yes"],
        ["quarantine"], ["release", helpful],
    ):  # fmt: skip
        error = CliRunner().invoke(cli.app, command).exception
        assert isinstance(error, DataError)
        assert "no ledger in it. There is bank/round_0001/bank.parquet, which `ls`" in str(error)
    assert "zzz: no entry" in str(CliRunner().invoke(cli.app, ["show", "zzz"]).exception)
    snapshot.write_bytes(b"half of a file")
    assert "bank.parquet: damaged" in str(CliRunner().invoke(cli.app, ["ls"]).exception)
    bank.close()


@contextmanager
def only_readable(folder: Path) -> Iterator[None]:
    """Rights bind nobody who is root."""
    user = os.geteuid()
    folder.chmod(0o555)
    if not user:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


def test_a_ledger_in_a_folder_that_may_only_be_read_is_read_and_not_called_damaged():
    folder = Path(tempfile.mkdtemp())  # pytest's own are closed to others
    bank = open_bank(folder)
    apply(bank, "c1", add("take the key"))
    bank.close()
    with only_readable(folder):
        assert "take the key" in call((folder, bank), "ls")
        assert "0 disagreements" in call((folder, bank), "verify")
        error = CliRunner().invoke(cli.app, ["rollback", "--round", "0", "--yes", "--run", str(folder)]).exception
    assert isinstance(error, BankError)
    assert "nothing can be written there (Permission denied). Remedy" in str(error)

    bank = open_bank(folder)
    apply(bank, "c2", add("go up"))
    log = (folder / "ledger.sqlite-wal").read_bytes()
    bank.close()
    (folder / "ledger.sqlite-wal").write_bytes(log)  # as a copy has it that was made while a run wrote
    with (
        only_readable(folder),
        pytest.raises(DataError, match=r"written last is still in ledger.sqlite-wal.*--run COPY"),
    ):
        Ledger.read_only(folder)
    with closing(Ledger.read_only(folder)) as ledger:
        assert [record.entry.text for record in ledger.records()] == ["take the key", "go up"]
    shutil.rmtree(folder)


def _lock(folder, timeout_s):
    from crl.bank.connection import writer_lock

    return writer_lock(folder, timeout_s)


def test_a_full_disk_and_ctrl_c_are_sentences_in_every_command(run, tmp_path, monkeypatch):
    (tmp_path / "full.jsonl").symlink_to("/dev/full")
    full = CliRunner().invoke(main.app, ["bank", "export", str(tmp_path / "full.jsonl"), "--run", str(run[0])])
    assert full.exit_code == 2
    assert "No space left on device" in full.output
    assert "Remedy: make room" in full.output

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "bank_folder", interrupted)
    stopped = CliRunner().invoke(main.app, ["bank", "log"])
    assert (stopped.exit_code, stopped.output) == (130, "interrupted; nothing runs on\n")
