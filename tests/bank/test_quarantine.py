"""`crl bank quarantine` lists and explains, and with `release` moves entries in and out; a run that goes on keeps it."""

import json

import pytest
from typer.testing import CliRunner

from crl.bank.effect import Use
from crl.cli import bank as cli
from crl.cli import bank_quarantine
from crl.config.compose import composed
from crl.embedding import open as embedding
from crl.errors import BankError
from crl.round.state import CHECKPOINT_FORMAT, StateFolder, open_state
from tests.bank.samples import WordEmbedder, add, apply, open_bank, texts


@pytest.fixture(autouse=True)
def words(monkeypatch):
    monkeypatch.setattr(embedding, "load_embedder", lambda name: WordEmbedder())
    for module in (cli, bank_quarantine):
        monkeypatch.setattr(module, "console", cli.Console(width=200))


@pytest.fixture
def state(tmp_path) -> StateFolder:
    """A run of which round 3 is committed, and something of round 4 was written before a kill."""
    state = open_state(tmp_path / "runs", composed("quick", ["bank.capacity=3"]), {})
    bank = open_bank(state.path / "bank")
    harmful = apply(bank, "c1", add("wait [here]"), add("go up"), add("take the key"), round=2).added[0]
    bank.record_uses([Use(harmful, 2, group, 4, 0, 4, 3) for group in range(4)])
    bank.quarantine(harmful, "harm is certain: -0.75 [-1.00, -0.50] in 4 groups", round=3)
    checkpoint = state.checkpoints / "round_0003"
    checkpoint.mkdir()
    (checkpoint / "manifest.json").write_text(
        json.dumps({"format": CHECKPOINT_FORMAT, "versions": {}, "bank_position": bank.position})
    )
    apply(bank, "c2", add("half a round"), round=4)
    bank.close()
    return state


def call(state, *arguments):
    return CliRunner().invoke(cli.app, [*arguments, "--run", str(state.path)])


def resumed(state):
    """The bank as a run that goes on has it."""
    bank = open_bank(state.path / "bank")
    bank.truncate_to(state.manifest(3)["bank_position"])
    return bank


def test_the_list_says_since_when_why_and_what_was_measured(state):
    out = call(state, "quarantine").output
    for part in ("1 in quarantine", "harm is certain", "wait [here]", "-0.75 [", "│ 3 "):
        assert part in out
    [harmful] = [line.split()[1] for line in out.splitlines() if "wait [here]" in line]
    assert "in quarantine since round 3: quarantine harm is certain" in call(state, "show", harmful).output


def test_a_release_belongs_to_the_last_committed_round_so_a_run_that_goes_on_has_it(state):
    bank = resumed(state)
    harmful = next(id_ for id_, kind in bank.memory.posterior.effects.items() if kind)
    bank.close()
    result = call(state, "release", harmful[:9], "--reason", "it helps others")
    assert (result.exit_code, "is in the bank again" in result.output) == (0, True)
    bank = resumed(state)
    assert (texts(bank), bank.verify()) == (["go up", "take the key", "wait [here]"], [])
    *_, last = bank.ledger.events()
    assert (last.kind, last.round, last.detail, bank.effect(harmful).groups) == ("release", 3, "it helps others", 4)
    bank.close()
    assert "0 in quarantine" in call(state, "quarantine").output
    assert "not in quarantine" in str(call(state, "release", harmful).exception)


def test_an_entry_can_be_taken_out_by_hand_and_the_runs_own_settings_count(state):
    bank = resumed(state)
    gone, *_ = bank.entries()
    bank.close()
    assert call(state, "quarantine", gone.id, "--reason", "it misleads").exit_code == 0
    bank = resumed(state)
    assert texts(bank) == ["take the key"]
    bank.close()
    assert "it misleads" in call(state, "quarantine").output
    assert "not in the bank" in str(call(state, "quarantine", gone.id).exception)
    assert "zzz: no entry" in str(call(state, "release", "zzz").exception)


def test_a_run_that_is_going_on_or_has_no_round_yet_is_refused(state, tmp_path):
    bank = open_bank(state.path / "bank")
    refused = call(state, "release", "abc").exception
    assert isinstance(refused, BankError)
    assert "another process has been writing" in str(refused)
    bank.close()
    fresh = open_state(tmp_path / "fresh", composed("quick"), {})
    open_bank(fresh.path / "bank").close()
    assert "no round was committed" in str(call(fresh, "quarantine", "abc").exception)
