"""Random operations, faults, kills: ledger, replay and index always agree, and nothing acknowledged is lost."""

import copy
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from crl.bank.changes import entry_id
from crl.bank.effect import Use
from crl.bank.records import Shown
from tests.bank.samples import add, apply, crash, merge, open_bank, show, update

CAPACITY = 6
SCOPES = st.sampled_from(["maze", "room"])
WORDS = st.sampled_from(["left", "right", "key", "door", "wait", "up", "down", "ladder", "lava", "chest"])


class Fault(Exception):
    """Injected in the middle of a transaction."""


class BankMachine(RuleBasedStateMachine):
    """Compares the bank with lists of ids: what was written last at the end, at most CAPACITY per scope."""

    @initialize()
    def start(self):
        self.folder = Path(tempfile.mkdtemp(prefix="bank-machine-"))
        self.bank = open_bank(self.folder / "bank", capacity=CAPACITY)
        self.tables: dict[str, list[str]] = {"maze": [], "room": []}
        self.shown: Counter[str] = Counter()
        self.written: Counter[str] = Counter()
        self.quarantined: set[str] = set()
        self.step = 0
        self.checkpoints = [(0, self.bank.snapshot(self.folder), *self.model())]

    def model(self):
        return copy.deepcopy((self.tables, self.shown, self.written, self.quarantined))

    def teardown(self):
        if hasattr(self, "bank"):
            self.bank.close()
            shutil.rmtree(self.folder)

    def next_id(self):
        self.step += 1
        return f"c{self.step}"

    def some(self, scope, index):
        return self.tables[scope][index % len(self.tables[scope])] if self.tables[scope] else "nobody"

    def write(self, scope, text, *gone):
        """What one text makes of the model; the table may be too long for a while."""
        id_ = entry_id("run", scope, text)
        self.written[id_] += 1
        if id_ not in self.quarantined:
            self.tables[scope] = [other for other in self.tables[scope] if other not in (id_, *gone)] + [id_]

    def evict(self, scope):
        self.tables[scope] = self.tables[scope][-CAPACITY:]

    @rule(scope=SCOPES, words=st.lists(WORDS, min_size=1, max_size=3), aim=st.none() | st.integers(0, 9))
    def apply(self, scope, words, aim):
        operations, gone = [add(word) for word in words], ()
        if aim is not None:
            gone = (self.some(scope, aim),)
            operations[0] = update(words[0], *gone, "bogus")
        apply(self.bank, self.next_id(), *operations, scope=scope, key_text=" ".join(words), round=self.step)
        for word in words:
            self.write(scope, word, *gone)
            gone = ()
        self.evict(scope)

    @rule(scope=SCOPES)
    def apply_the_last_one_again(self, scope):
        before = self.bank.position
        report = apply(self.bank, f"c{self.step}", add("left"), scope=scope)
        if report.again:
            assert self.bank.position == before
        else:  # that step was not an application
            self.write(scope, "left")
            self.evict(scope)

    @rule(scope=SCOPES, first=st.integers(0, 9), second=st.integers(0, 9), text=WORDS, vanished=st.booleans())
    def merge(self, scope, first, second, text, vanished):
        parents = tuple(dict.fromkeys([self.some(scope, first), self.some(scope, second)]))
        given = (*parents, "gone") if vanished else parents
        report = merge(self.bank, "m" + self.next_id(), given, text, scope=scope, round=self.step)
        impossible = vanished or "nobody" in parents or entry_id("run", scope, text) in self.quarantined
        assert report.conflict == impossible
        if not impossible:
            self.write(scope, text, *parents)

    @rule(scope=SCOPES, index=st.integers(0, 9))
    def quarantine(self, scope, index):
        id_ = self.some(scope, index)
        assert self.bank.quarantine(id_, "suspicious", round=self.step) == (id_ != "nobody")
        if id_ != "nobody":
            self.tables[scope].remove(id_)
            self.quarantined.add(id_)

    @rule(scope=SCOPES, text=WORDS)
    def release(self, scope, text):
        id_ = entry_id("run", scope, text)
        assert self.bank.release(id_, "looked at", round=self.step) == (id_ in self.quarantined)
        if id_ in self.quarantined:
            self.quarantined.remove(id_)
            self.tables[scope].append(id_)
            self.evict(scope)

    @rule(scope=SCOPES, index=st.integers(0, 9), flush=st.booleans())
    def show(self, scope, index, flush):
        id_ = self.some(scope, index)
        if id_ != "nobody":
            self.bank.count_shown([Shown(id_, f"k{self.step}", self.step)])
            self.shown[id_] += 1
        if flush:
            self.bank.flush()

    @rule(scope=SCOPES, index=st.integers(0, 9))
    def use_and_train(self, scope, index):
        id_ = self.some(scope, index)
        self.step += 1
        rows = [Use(id_, self.step, 0, 2, 1, 2, 0)]
        self.bank.record_uses(rows)
        position = self.bank.position
        self.bank.record_uses(rows)
        assert self.bank.position == position
        self.bank.mark_trained([f"c{self.step - 1}"], self.step)

    @rule(scope=SCOPES)
    def fail_in_the_middle(self, scope):
        ledger = self.bank.ledger
        insert, before = ledger._insert_completion, self.bank.position

        def broken(*args):
            insert(*args)
            raise Fault

        ledger._insert_completion = broken
        try:
            with pytest.raises(Fault):
                apply(self.bank, self.next_id(), add("half"), update("b", self.some(scope, 0)), scope=scope)
        finally:
            del ledger._insert_completion
        assert self.bank.position == before

    @rule()
    def crash_and_reopen(self):
        """What was counted but never acknowledged as durable may go; everything else stays."""
        self.bank.flush()
        lost = [id_ for table in self.tables.values() for id_ in table[:1]]
        self.bank.count_shown([Shown(id_, "lost", self.step) for id_ in lost])
        crash(self.bank)
        self.bank = open_bank(self.folder / "bank", capacity=CAPACITY)

    @rule()
    def checkpoint(self):
        self.checkpoints.append((self.bank.position, self.bank.snapshot(self.folder), *self.model()))

    @precondition(lambda self: len(self.checkpoints) > 1)
    @rule(index=st.integers(0, 20))
    def roll_back(self, index):
        kept = self.checkpoints[: 1 + index % len(self.checkpoints)]
        position, digest, *model = kept[-1]
        self.bank.truncate_to(position)
        assert (self.bank.position, self.bank.snapshot(self.folder)) == (position, digest)
        self.checkpoints = kept
        self.tables, self.shown, self.written, self.quarantined = copy.deepcopy(model)

    @invariant()
    def everything_agrees(self):
        if not hasattr(self, "bank"):
            return
        assert self.bank.verify() == []
        before = self.bank.entries()
        assert {scope: [e.id for e in self.bank.entries(scope)] for scope in self.tables} == self.tables
        assert all((e.shown, e.written) == (self.shown[e.id], self.written[e.id]) for e in before)
        self.bank.truncate_to(self.bank.position)  # all that is in memory is read from the ledger again
        assert self.bank.entries() == before


TestBankMachine = BankMachine.TestCase
TestBankMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def _write_until_killed(folder, acknowledged):
    bank = open_bank(Path(folder), capacity=50)
    for number in range(100_000):
        report = apply(bank, f"c{number}", add(f"advice {number}"), add(f"second {number}"), round=number)
        show(bank, Shown(report.added[0], f"k{number}", number))
        os.write(acknowledged, f"{number}\n".encode())


@pytest.mark.slow
@pytest.mark.parametrize("delay_lines", [1, 37, 160])
def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path, delay_lines):
    reading, writing = os.pipe()
    process = multiprocessing.get_context("fork").Process(target=_write_until_killed, args=(tmp_path, writing))
    process.start()
    os.close(writing)
    lines = b""
    while lines.count(b"\n") < delay_lines:
        lines += os.read(reading, 4096)
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    while more := os.read(reading, 4096):
        lines += more
    os.close(reading)
    last = int(lines.split()[-1])

    bank = open_bank(tmp_path, capacity=50)
    assert bank.verify() == []
    found = {entry.origin.completion_id: entry.shown for entry in bank.entries() if entry.text.startswith("advice")}
    assert all(found[f"c{number}"] == 1 for number in range(max(0, last - 20), last + 1))
    assert len(found) * 2 == len(bank)  # both operations of every completion, or none
    again = apply(bank, f"c{last}", add(f"advice {last}"), add(f"second {last}"), round=last)
    assert again.again
    bank.close()
