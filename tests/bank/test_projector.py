"""A server holds what the ledger holds, whatever happened to either, and a lost server costs the run nothing.

The server is a table in this process, added by name as somebody else's would be; tests/bank/test_weaviate*.py use a real one.
"""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from crl.bank.effect import Use
from crl.bank.ledger import Ledger
from crl.bank.projector import Differences, Projection, Projector, projector_of
from crl.bank.records import Shown
from crl.bank.retrieval import Retriever
from crl.bank.stores import open_store, store_class
from crl.config.compose import composed
from crl.config.play import RetrievalConfig
from crl.errors import ConfigError, DataError
from tests.bank import own_store
from tests.bank.own_store import SERVER, OwnSink, OwnStore
from tests.bank.rolled_back import RolledBack
from tests.bank.samples import WordEmbedder, add, apply, crash, open_bank, show, texts, update
from tests.waiting import until

FAMILIES = {"maze": "minihack"}


@pytest.fixture(autouse=True)
def server() -> None:
    SERVER.__init__()


def follow(folder: Path) -> Projector:
    return Projector(folder, OwnStore(None, None, run_id="run", folder=folder), FAMILIES)


def _unreachable(*_):
    raise own_store.Unreachable


class Projected(RolledBack):
    """Operations, counters, rollbacks, crashes of either side; after each look, ledger and server are the same."""

    scopes = st.sampled_from(["maze", "room"])

    @initialize()
    def start(self):
        SERVER.__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="bank-projection-"))
        self.step, self.positions = 0, [0]
        self.begin()

    def begin(self):
        self.bank = open_bank(self.folder, capacity=5)
        self.ledger = Ledger.read_only(self.folder)
        self.projection = Projection(self.ledger, OwnSink("run"), FAMILIES)

    def teardown(self):
        if hasattr(self, "bank"):
            self.ledger.close()
            self.bank.close()
            shutil.rmtree(self.folder)

    @rule(scope=scopes, count=st.integers(1, 3), aim=st.none() | st.integers(0, 4))
    def apply(self, scope, count, aim):
        self.step += 1
        live = self.bank.entries(scope)
        operations = [add(f"advice {self.step}.{number}") for number in range(count)]
        if aim is not None and live:
            operations[0] = update("better", live[aim % len(live)].id)
        apply(self.bank, f"c{self.step}", *operations, scope=scope, key_text=f"room {self.step % 3}", round=self.step)

    @rule(index=st.integers(0, 9))
    def count(self, index):
        if live := self.bank.entries():
            self.step += 1
            entry = live[index % len(live)]
            show(self.bank, Shown(entry.id, f"k{self.step}", self.step))
            self.bank.record_uses([Use(entry.id, self.step, 0, 2, 1, 2, 0)])

    @rule()
    def crash_of_the_run(self):
        self.ledger.close()
        crash(self.bank)
        self.begin()

    @rule()
    def restore_of_an_empty_server(self):
        SERVER.__init__()
        self.projection = Projection(self.ledger, OwnSink("run"), FAMILIES)

    @rule()
    def crash_while_it_writes(self):
        self.step += 1
        apply(self.bank, f"c{self.step}", add("half projected"), round=self.step)
        delete, OwnSink.delete = OwnSink.delete, _unreachable
        try:
            with pytest.raises(own_store.Unreachable):
                self.projection.catch_up()
        finally:
            OwnSink.delete = delete
        self.projection = Projection(self.ledger, OwnSink("run"), FAMILIES)

    @rule()
    def look(self):
        self.projection.catch_up()
        assert self.projection.differences() == Differences()
        assert self.projection.behind() == 0
        stored = SERVER.table("run")
        assert {id_: item.record.entry for id_, item in stored.items()} == {e.id: e for e in self.bank.entries()}
        assert all(item.family == FAMILIES.get(item.record.entry.task, "") for item in stored.values())

    @invariant()
    def the_ledger_is_sound(self):
        if hasattr(self, "bank"):
            assert self.bank.verify() == []


def test_a_repair_that_breaks_off_is_made_again_and_leaves_nothing_of_a_history_that_was_rolled_back():
    state = Projected()
    state.start()
    try:
        state.look()
        state.crash_while_it_writes()
        state.roll_back(index=0)
        state.crash_while_it_writes()  # of the repair that the rollback asks for
        state.look()
    finally:
        state.teardown()


TestProjected = Projected.TestCase
TestProjected.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_catching_up_writes_only_what_later_events_touched_and_a_rollback_is_found_out(tmp_path, monkeypatch):
    bank, ledger = open_bank(tmp_path), Ledger.read_only(tmp_path)
    first = apply(bank, "c1", add("one"), add("two")).added
    written: list[str] = []
    put = OwnSink.put
    monkeypatch.setattr(
        OwnSink, "put", lambda self, items: (written.extend(i.record.entry.text for i in items), put(self, items))
    )
    projection = Projection(ledger, OwnSink("run"), FAMILIES)
    assert projection.catch_up() == Differences(missing=2)  # a new server: everything is compared
    position = bank.position
    show(bank, Shown(first[0], "k", 1))
    apply(bank, "c2", update("three", first[1]), round=1)
    written.clear()
    again = Projection(ledger, OwnSink("run"), FAMILIES)  # as after a restart: what it has seen stands on the server
    assert (again.behind(), again.catch_up()) == (bank.position, Differences())
    assert (sorted(written), SERVER.listed) == (["one", "three"], 1)
    bank.truncate_to(position)
    apply(bank, "c3", add("another future"), round=1)
    apply(bank, "c4", add("of the same length"), round=1)
    assert again.catch_up() == Differences(missing=3, changed=1, surplus=1)
    assert SERVER.listed == 2
    ledger.close()
    bank.close()


def test_a_lost_server_costs_the_run_nothing_and_catches_up(tmp_path):
    bank = open_bank(tmp_path, follow=follow)
    apply(bank, "c1", add("before"))
    until(lambda: SERVER.marks.get("run") == bank.ledger.mark(1))
    SERVER.up = False
    apply(bank, "c2", add("meanwhile"))
    until(lambda: not bank.projector.serving)
    apply(bank, "c3", add("later"))
    assert texts(bank) == ["before", "meanwhile", "later"]
    until(lambda: bank.projector._behind == 2)
    lost = bank.metrics()
    assert (lost["bank/index_down"], lost["bank/index_lost"], lost["bank/index_behind"]) == (1, 1, 2)
    SERVER.up = True
    until(lambda: bank.projector.serving and bank.projector._behind == 0)
    assert [item.record.entry.text for item in SERVER.table("run").values()] == ["before", "meanwhile", "later"]
    back = bank.metrics()
    assert (back["bank/index_down"], back["bank/index_behind"], back["bank/index_repaired"]) == (0, 0, 0)
    assert SERVER.listed == 1  # it caught up by event numbers
    bank.close()


def test_what_was_written_last_is_on_the_server_when_the_run_ends(tmp_path):
    bank = open_bank(tmp_path, follow=follow)
    apply(bank, "c1", add("last words"))
    bank.count_shown([Shown(bank.entries()[0].id, "k", 3)])
    bank.close()
    [item] = SERVER.table("run").values()
    assert (item.record.entry.text, item.record.entry.last_shown_round) == ("last words", 3)


def test_no_server_at_the_start_is_an_error_and_leaves_the_bank_free(tmp_path):
    SERVER.up = False
    with pytest.raises(own_store.Unreachable):
        open_bank(tmp_path, follow=follow)
    SERVER.up = True
    open_bank(tmp_path, follow=follow).close()


def test_without_a_ledger_the_server_is_let_go(tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(OwnSink, "close", lambda self: closed.append(self))
    with pytest.raises(DataError, match="no such ledger"):
        follow(tmp_path)
    assert len(closed) == 1


def test_a_mistake_in_a_store_is_no_lost_server_and_surfaces(tmp_path, monkeypatch):
    def broken(self, items):
        raise TypeError("a mistake")

    monkeypatch.setattr(OwnSink, "put", broken)
    bank = open_bank(tmp_path, follow=follow)
    apply(bank, "c1", add("x"))
    until(lambda: bank.projector._mistake is not None)
    with pytest.raises(TypeError, match="a mistake"):
        bank.metrics()
    bank.close()


async def test_a_store_of_somebody_else_serves_nodes_by_its_name_alone(tmp_path):
    config = composed("quick", ["bank.index=tests.bank.own_store:OwnStore"])
    assert store_class(config.bank.index) is OwnStore
    bank = open_bank(tmp_path, follow=projector_of(config, "run"))
    keys = [f"room {number % 4}" for number in range(12)]
    for number, key in enumerate(keys):
        apply(bank, f"c{number}", add(f"advice {number}"), key_text=key, round=number)
    apply(bank, "c99", update("better", bank.entries()[0].id), key_text=keys[0], round=12)
    until(lambda: SERVER.marks.get("run") == bank.ledger.mark(bank.position))
    reader = open_store(config.bank, config.servers, run_id="run", folder=tmp_path).reader()
    queries = {"maze": WordEmbedder().embed(["room 1", "a room"])}
    assert reader.search(queries, 5) == bank.search(queries, 5)
    retriever = Retriever(reader, RetrievalConfig(batch_wait_ms=0), WordEmbedder(), seed=7)
    [found, *_] = await retriever.retrieve("maze", "room 1", key="r13.g0.e4", round=13)
    await retriever.drain()
    retriever.close()
    bank.count_shown(reader.shown)
    assert bank.get(found.id).shown == 1
    bank.close()


def test_an_unknown_store_is_refused_with_what_there_is():
    with pytest.raises(ConfigError, match=r"bank\.index = 'weviate'.*did you mean weaviate.*embedded, weaviate"):
        composed("quick", ["bank.index=weviate"])
