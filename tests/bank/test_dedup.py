"""`bank.dedup_similarity`: an entry this close to a newer one is dropped, whatever happened before; null drops nothing."""

import multiprocessing
import os
import shutil
import signal
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from typer.testing import CliRunner

from crl.bank import bank as bank_module
from crl.bank.records import Kind
from crl.cli import bank as cli
from tests.bank.rolled_back import RolledBack
from tests.bank.samples import WordEmbedder, add, apply, crash, merge, open_bank, texts, update

BOUND = 0.9
EMBEDDER = WordEmbedder()


def similarity(one, other, keys):
    """The lower one of situation and advice, in float64."""
    advice = EMBEDDER.embed([one.text, other.text]).astype(np.float64)
    return min(float(keys[one.id] @ keys[other.id]), float(advice[0] @ advice[1]))


def assert_nothing_is_too_close(bank):
    keys = {record.entry.id: record.vector.astype(np.float64) for record in bank.ledger.records()}
    for scope in {entry.task for entry in bank.entries()}:
        for one, other in combinations(bank.entries(scope), 2):
            assert similarity(one, other, keys) < BOUND


@pytest.fixture
def bank(tmp_path):
    bank = open_bank(tmp_path / "bank", dedup_similarity=BOUND)
    yield bank
    assert_nothing_is_too_close(bank)
    assert bank.verify() == []
    bank.close()


def test_an_entry_that_a_newer_one_repeats_leaves_and_the_newer_stays(bank):
    old = apply(bank, "c1", add("go left at the door")).added[0]
    report = apply(bank, "c2", add("go left at the door"), round=1)
    assert (report.deduped, [entry.origin.completion_id for entry in bank.entries()]) == ((old,), ["c2"])
    assert bank.metrics()["bank/dedup"] == 1


def test_other_advice_other_situations_and_other_scopes_are_spared(bank):
    apply(bank, "c1", add("go left at the door"))
    apply(bank, "c2", add("take the key"))
    apply(bank, "c3", add("go left at the door"), key_text="water and stones")
    apply(bank, "c4", add("go left at the door"), scope="room")
    assert [entry.origin.completion_id for entry in bank.entries()] == ["c1", "c2", "c3", "c4"]


def test_a_completion_that_says_a_thing_twice_keeps_the_second(bank):
    report = apply(bank, "c1", add("go up"), add("take the key"), add("go up"))
    assert (report.deduped, texts(bank)) == ((report.added[0],), ["take the key", "go up"])
    assert apply(bank, "c1", add("go up"), add("take the key"), add("go up")).repeated


def test_a_merged_text_drops_what_it_repeats(bank):
    a, b, said = apply(bank, "c1", add("go up"), add("take a key"), add("use the ladder in the hall")).added
    report = merge(bank, "m1", (a, b), "use the ladder in the hall", round=3)
    assert (report.deduped, len(bank)) == ((said,), 1)


def test_a_full_table_evicts_only_what_is_too_much_after_the_duplicates_left(tmp_path):
    bank = open_bank(tmp_path, capacity=2, dedup_similarity=BOUND)
    apply(bank, "c1", add("one"), add("two"))
    report = apply(bank, "c2", add("two"))
    assert (report.evicted, len(report.deduped), texts(bank)) == ((), 1, ["one", "two"])
    bank.close()


def test_after_a_rollback_the_same_id_may_say_something_else(bank):
    apply(bank, "c1", add("go up"))
    bank.truncate_to(0)
    apply(bank, "c1", add("take the key"))
    assert apply(bank, "c2", add("go up")).deduped == ()
    assert texts(bank) == ["take the key", "go up"]


def test_an_entry_may_leave_while_another_is_compared_with_it(tmp_path):
    class Embedder(WordEmbedder):
        def embed(self, texts, *, one_by_one=False):
            if "newer advice" in texts:  # outside the bank's lock, so that others can write meanwhile
                bank.quarantine(old, "it misleads", round=1)
            return super().embed(texts, one_by_one=one_by_one)

    bank = open_bank(tmp_path, embedder=Embedder(), dedup_similarity=BOUND)
    old = apply(bank, "c1", add("old advice")).added[0]
    assert apply(bank, "c2", add("newer advice"), round=1).deduped == ()
    assert (texts(bank), bank.verify()) == (["newer advice"], [])
    bank.close()


def test_a_merge_embeds_before_it_takes_the_writers_lock(tmp_path, monkeypatch):
    class Embedder(WordEmbedder):
        def embed(self, texts, *, one_by_one=False):
            if "both of them" in texts:
                bank.flush()  # takes the lock
            return super().embed(texts, one_by_one=one_by_one)

    monkeypatch.setattr(bank_module, "LOCK_TIMEOUT_S", 0.2)
    bank = open_bank(tmp_path, embedder=Embedder(), dedup_similarity=BOUND)
    parents = apply(bank, "c1", add("go up"), add("take the key")).added
    merge(bank, "m1", parents, "both of them", round=1)
    assert texts(bank) == ["both of them"]
    bank.close()


def test_null_drops_nothing(tmp_path):
    bank = open_bank(tmp_path)
    apply(bank, "c1", add("go up"), add("go up"))
    apply(bank, "c2", add("go up"))
    assert texts(bank) == ["go up"] * 3
    bank.close()


def test_log_diff_and_show_tell_what_was_dropped_and_for_which_entry(bank, tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "console", cli.Console(width=250))
    old = apply(bank, "c1", add("go up"), round=0).added[0]
    new = apply(bank, "c2", add("go up"), round=1).added[0]
    told = f"similarity 0.9: {old[:8]} to {new[:8]}"

    def call(*arguments):
        result = CliRunner().invoke(cli.app, [*arguments, "--run", str(tmp_path)])
        assert result.exit_code == 0, result.output
        return result.output

    assert told in call("log", "--kind", "dedup")
    assert "1 added, 1 removed" in call("diff", "0", "1")
    assert f"left in round 1: dedup {told}" in call("show", old)
    assert "0 disagreements" in call("verify")


class Deduped(RolledBack):
    """Any sequence of operations, reopenings and rollbacks."""

    words = st.lists(st.sampled_from(["go", "up", "left", "key"]), min_size=1, max_size=3).map(" ".join)
    keys = st.sampled_from(["a dark room", "a dark room", "a dark dark room", "water"])
    scopes = st.sampled_from(["maze", "room"])

    @initialize()
    def start(self):
        self.folder = Path(tempfile.mkdtemp(prefix="bank-dedup-"))
        self.bank = self.opened()
        self.step, self.positions = 0, [0]

    def opened(self):
        return open_bank(self.folder, capacity=8, dedup_similarity=BOUND)

    def teardown(self):
        if hasattr(self, "bank"):
            self.bank.close()
            shutil.rmtree(self.folder)

    @rule(said=st.lists(words, min_size=1, max_size=3), key=keys, scope=scopes, aim=st.none() | st.integers(0, 7))
    def apply(self, said, key, scope, aim):
        self.step += 1
        operations, live = [add(text) for text in said], self.bank.entries(scope)
        if aim is not None and live:
            operations[0] = update(said[0], live[aim % len(live)].id)
        before = {entry.id: entry for entry in live}
        report = apply(self.bank, f"c{self.step}", *operations, scope=scope, key_text=key, round=self.step)
        self.explained(scope, before, report)
        assert self.bank.get(report.added[-1]) is not None  # nothing is newer

    @rule(said=words, scope=scopes, first=st.integers(0, 7), second=st.integers(0, 7))
    def merge(self, said, scope, first, second):
        if not (live := self.bank.entries(scope)):
            return
        self.step += 1
        parents = tuple({live[first % len(live)].id, live[second % len(live)].id})
        report = merge(self.bank, f"m{self.step}", parents, said, scope=scope, round=self.step)
        self.explained(scope, {entry.id: entry for entry in live}, report)

    def explained(self, scope, before, report):
        """Whatever was dropped is close to one of the added, which is there; what is gone was told."""
        keys = {r.entry.id: (r.entry, r.vector) for r in self.bank.ledger.records(live_only=False)}
        vectors = {id_: vector.astype(np.float64) for id_, (_, vector) in keys.items()}
        survivors = [self.bank.get(id_) for id_ in report.added if id_ not in report.deduped]
        for id_ in report.deduped:
            assert max(similarity(keys[id_][0], new, vectors) for new in survivors) >= BOUND - 2e-6
        gone = before.keys() - {entry.id for entry in self.bank.entries(scope)}
        assert gone <= {*report.deduped, *report.evicted, *report.replaced}

    @rule()
    def crash_and_reopen(self):
        crash(self.bank)
        self.bank = self.opened()

    @invariant()
    def nothing_is_too_close(self):
        if hasattr(self, "bank"):
            assert_nothing_is_too_close(self.bank)
            assert self.bank.verify() == []


TestDeduped = Deduped.TestCase
TestDeduped.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def _write_until_killed(folder, acknowledged):
    bank = open_bank(Path(folder), dedup_similarity=BOUND)
    for number in range(100_000):
        apply(bank, f"c{number}", add(f"advice {number % 7}"), add("second"), round=number)
        os.write(acknowledged, f"{number}\n".encode())


@pytest.mark.slow
def test_a_killed_writer_leaves_no_duplicate_and_both_halves_of_every_drop(tmp_path):
    reading, writing = os.pipe()
    process = multiprocessing.get_context("fork").Process(target=_write_until_killed, args=(tmp_path, writing))
    process.start()
    os.close(writing)
    lines = b""
    while lines.count(b"\n") < 60:
        lines += os.read(reading, 4096)
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    os.close(reading)
    bank = open_bank(tmp_path, dedup_similarity=BOUND)
    assert bank.verify() == []
    assert_nothing_is_too_close(bank)
    assert sorted(texts(bank)) == [*(f"advice {number}" for number in range(7)), "second"]
    events = {event.seq: event for event in bank.ledger.events()}
    drops = [event for event in events.values() if event.kind is Kind.DEDUP]
    assert len(drops) > 50
    assert all(events[event.seq - 1].kind is Kind.ADD for event in drops)
    bank.close()
