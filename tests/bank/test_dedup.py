"""`bank.dedup_similarity`: entries this close are one, with the evidence of both, whatever happened before; null joins nothing."""

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
from crl.bank.changes import entry_id
from crl.bank.effect import Use
from crl.bank.records import Kind, Shown, State
from crl.cli import bank as cli
from tests.bank.rolled_back import RolledBack
from tests.bank.samples import WordEmbedder, add, apply, crash, merge, open_bank, show, texts, update

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


def test_a_near_duplicate_joins_what_is_there_and_evidence_adds_up(bank):
    old = apply(bank, "c1", add("go left at the door")).added[0]
    new = entry_id("run", "maze", "at the door go left")
    bank.record_uses([Use(old, 1, group, 2, 2, 2, 0) for group in range(2)])
    report = apply(bank, "c2", add("at the door go left"), round=1)
    assert (report.added, report.joined, texts(bank)) == ((old,), (new,), ["go left at the door"])
    assert [(o.completion_id, o.round) for o in bank.origins(new)] == [("c1", 0), ("c2", 1)]
    show(bank, Shown(new, "r2.g0.e4", 2), Shown(old, "r2.g0.e5", 2))  # it was retrieved before it joined
    bank.record_uses([Use(new, 2, 0, 1, 0, 2, 1), Use(old, 2, 0, 3, 3, 2, 1)])
    assert (bank.get(old).written, bank.get(old).shown, bank.usage(new).shown) == (2, 2, 2)
    assert (bank.effect(new), bank.effect(old).groups, bank.effect(old).episodes) == (bank.effect(old), 3, 8)
    assert bank.memory.uses(old)[-1] == Use(old, 2, 0, 4, 3, 2, 1)
    assert bank.metrics()["bank/dedup"] == 1
    again = apply(bank, "c3", add("at the door go left"), round=3)
    assert (again.added, again.repeated, bank.get(old).written) == ((old,), (old,), 3)
    before = bank.effect(old), bank.entries()
    bank.truncate_to(bank.position)
    assert (bank.effect(old), bank.entries()) == before


def test_what_was_written_more_often_stays_and_takes_over_all_that_had_joined_the_other(bank):
    first, often = apply(bank, "c1", add("one two three")).added[0], entry_id("run", "maze", "three two one")
    joined = entry_id("run", "maze", "two one three")
    apply(bank, "c2", add("two one three"))
    for number in range(3):  # in another situation, and then in that of the others
        apply(bank, f"d{number}", add("three two one"), key_text="water and stones")
    assert texts(bank) == ["one two three", "three two one"]
    report = apply(bank, "c3", *[add("three two one")] * 29, round=1)
    assert (report.joined, texts(bank)) == ((first,), ["three two one"])
    assert bank.ledger.joins() == {first: often, joined: often}
    assert {len(bank.origins(id_)) for id_ in (first, joined, often)} == {34}


def test_a_key_that_moves_may_make_two_entries_that_stood_apart_near_duplicates(bank):
    one = apply(bank, "c1", add("go up"), key_text="a dark room").added[0]
    two = apply(bank, "c2", add("up go"), key_text="water and stones").added[0]
    assert len(bank) == 2
    for number in range(12):
        apply(bank, f"d{number}", add("up go"), key_text="a dark room")
    assert (texts(bank), bank.memory.owner(one)) == (["up go"], two)


def test_other_advice_other_situations_and_other_scopes_are_spared(bank):
    apply(bank, "c1", add("go left at the door"))
    apply(bank, "c2", add("take the key"))
    apply(bank, "c3", add("at the door go left"), key_text="water and stones")
    apply(bank, "c4", add("go left at the door"), scope="room")
    assert [entry.origin.completion_id for entry in bank.entries()] == ["c1", "c2", "c3", "c4"]


def test_a_completion_that_says_nearly_the_same_twice_keeps_the_first(bank):
    report = apply(bank, "c1", add("go up"), add("take the key"), add("up go"))
    assert (report.added[0], texts(bank)) == (report.added[2], ["take the key", "go up"])
    assert apply(bank, "c1", add("go up"), add("take the key"), add("up go")).added == report.added


def test_a_merged_text_joins_what_it_repeats(bank):
    a, b, said = apply(bank, "c1", add("go up"), add("take a key"), add("use the ladder in the hall")).added
    report = merge(bank, "m1", (a, b), "in the hall use the ladder", round=3)
    assert (report.added, len(report.joined), len(bank)) == ((said,), 1, 1)


def test_a_full_table_evicts_only_what_is_too_much_after_the_duplicates_joined(tmp_path):
    bank = open_bank(tmp_path, capacity=2, dedup_similarity=BOUND)
    apply(bank, "c1", add("one"), add("two three"))
    report = apply(bank, "c2", add("three two"))
    assert (report.evicted, len(report.joined), texts(bank)) == ((), 1, ["one", "two three"])
    bank.close()


def test_a_rollback_undoes_a_join(bank):
    old = apply(bank, "c1", add("go up")).added[0]
    position = bank.position
    apply(bank, "c2", add("up go"))
    bank.truncate_to(position)
    assert (bank.get(old).written, bank.ledger.joins(), len(bank.origins(old))) == (1, {}, 1)


def test_an_entry_may_leave_while_another_is_compared_with_it(tmp_path):
    class Embedder(WordEmbedder):
        def embed(self, texts, *, one_by_one=False):
            if "newer advice" in texts:  # outside the bank's lock, so that others can write meanwhile
                bank.quarantine(old, "it misleads", round=1)
            return super().embed(texts, one_by_one=one_by_one)

    bank = open_bank(tmp_path, embedder=Embedder(), dedup_similarity=BOUND)
    old = apply(bank, "c1", add("old advice")).added[0]
    assert apply(bank, "c2", add("newer advice"), round=1).joined == ()
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


def test_null_joins_nothing(tmp_path):
    bank = open_bank(tmp_path)
    apply(bank, "c1", add("go up"), add("up go"))
    assert texts(bank) == ["go up", "up go"]
    bank.close()


def test_log_diff_and_show_tell_what_joined_which_entry(bank, tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "console", cli.Console(width=250))
    old = apply(bank, "c1", add("go up"), round=0).added[0]
    apply(bank, "c2", add("up go"), round=1)
    new = entry_id("run", "maze", "up go")
    told = f"similarity 0.9: {new[:8]} to {old[:8]}"

    def call(*arguments):
        result = CliRunner().invoke(cli.app, [*arguments, "--run", str(tmp_path)])
        assert result.exit_code == 0, result.output
        return result.output

    assert told in call("log", "--kind", "dedup")
    assert "0 added, 0 removed" in call("diff", "0", "1")
    assert f"left in round 1: dedup {told}" in call("show", new)
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
        before = {entry.id for entry in live}
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
        self.explained(scope, {entry.id for entry in live}, report)

    def explained(self, scope, before, report):
        """What is gone was told; what joined leads to an entry that has its origins."""
        for id_ in report.joined:
            owner = self.bank.memory.owner(id_)
            assert {o.completion_id for o in self.bank.origins(id_)} == {
                o.completion_id for o in self.bank.origins(owner)
            }
            assert self.bank.ledger.state(id_) is State.GONE
        gone = before - {entry.id for entry in self.bank.entries(scope)}
        assert gone <= {*report.joined, *report.evicted, *report.replaced}
        counted = sum(entry.written for entry in self.bank.entries())
        assert counted == sum(len(self.bank.origins(entry.id)) for entry in self.bank.entries())

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
        apply(bank, f"c{number}", add(f"{number} advice"), add(f"advice {number}"), round=number)
        os.write(acknowledged, f"{number}\n".encode())


@pytest.mark.slow
def test_a_killed_writer_leaves_no_duplicate_and_both_halves_of_every_join(tmp_path):
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
    kinds = [event.kind for event in bank.ledger.events()]
    assert kinds.count(Kind.DEDUP) >= 59
    assert kinds == [Kind.ADD, Kind.ADD, Kind.DEDUP] * kinds.count(Kind.DEDUP)
    bank.close()
