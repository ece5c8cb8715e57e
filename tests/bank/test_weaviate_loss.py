"""The server dies or hangs under a bank that is read and written: the run goes on, nodes wait, the server catches up."""

import os
import signal
import threading
from functools import partial
from types import SimpleNamespace

import psutil
import pytest

from crl.bank.changes import entry_id
from crl.bank.stores.weaviate import WeaviateStore
from crl.bank.weaviate.reader import WeaviateReader
from crl.config.bank import BankConfig
from crl.config.servers import ServersConfig
from crl.errors import BankError
from tests.bank.samples import WordEmbedder, add, apply, open_bank, texts, update
from tests.bank.weaviate_server import FAST, WeaviateServer
from tests.waiting import until


def write(bank, numbers):
    """One operation each; those that 3 divides replace the entry before them."""
    for number in numbers:
        text = f"advice {number}"
        operation = update(text, entry_id("run", "maze", f"advice {number - 1}")) if number % 3 == 0 else add(text)
        apply(bank, f"c{number}", operation, key_text=f"room {number % 7}", round=number // 10)


def written(upto):
    """The texts that are there after `write` of so many."""
    return {f"advice {number}" for number in range(upto) if number % 3 != 2 or number == upto - 1}


def up_to_date(bank):
    """Whether the server has seen the ledger's last event."""
    projector = bank.projector
    return projector.serving and projector._projection._noted == bank.ledger.mark(bank.position)


def test_a_server_that_is_killed_costs_nothing_and_catches_up_when_it_returns(
    weaviate_server: WeaviateServer, tmp_path, told
):
    bank = open_bank(tmp_path, follow=weaviate_server.follow("killed"))
    write(bank, range(30))
    until(partial(up_to_date, bank))
    query = {"maze": WordEmbedder().embed([f"room {number}" for number in range(7)])}
    reader = weaviate_server.store("killed").reader()
    assert reader.search(query, 3) == bank.search(query, 3)
    killer = threading.Timer(0.2, weaviate_server.kill)
    killer.start()
    write(bank, range(30, 90))  # the kill falls into these
    killer.join()
    until(lambda: not bank.projector.serving)
    write(bank, range(90, 120))
    assert set(texts(bank)) == written(120)  # all that was acknowledged, before, in and after the kill
    lost = bank.metrics()
    assert (lost["bank/index_down"], lost["bank/index_lost"]) == (1, 1)
    until(lambda: bank.projector._behind > 0)
    answers = []
    node = threading.Thread(target=lambda: answers.append(reader.search(query, 3)))  # waits for the server
    node.start()
    weaviate_server.start()
    node.join(120)
    assert not node.is_alive()
    write(bank, range(120, 130))
    until(partial(up_to_date, bank))
    assert [len(hits) for hits in answers[0]["maze"]] == [3] * 7
    assert reader.search(query, 3) == bank.search(query, 3)
    assert (bank.verify(), set(texts(bank))) == ([], written(130))
    back = bank.metrics()
    assert (back["bank/index_down"], back["bank/index_behind"]) == (0, 0)
    assert told[0].startswith("the bank's server is lost: ")
    assert told[-1].startswith("the bank's server is back and up to date")
    reader.close()
    bank.close()


def test_a_server_that_hangs_is_given_up_after_the_timeout_and_catches_up(weaviate_server: WeaviateServer, tmp_path):
    impatient = FAST.model_copy(update={"timeout_s": 5.0})
    bank = open_bank(tmp_path, follow=weaviate_server.follow("hangs", impatient))
    write(bank, range(3))
    until(partial(up_to_date, bank))
    os.kill(weaviate_server.running.pid, signal.SIGSTOP)
    try:
        write(bank, range(3, 9))
        until(lambda: not bank.projector.serving)
        assert set(texts(bank)) == written(9)
    finally:
        os.kill(weaviate_server.running.pid, signal.SIGCONT)
    until(partial(up_to_date, bank))
    reader, query = weaviate_server.store("hangs").reader(), {"maze": WordEmbedder().embed(["room 3"])}
    assert reader.search(query, 5) == bank.search(query, 5)
    reader.close()
    bank.close()


def test_a_node_whose_server_stays_away_ends_with_the_remedy(weaviate_server: WeaviateServer):
    reader = WeaviateReader(weaviate_server.store("away").sink, FAST, patience_s=0.3)
    reader._tenants[0].close()  # as one that a server left behind
    reader._open = lambda: (_ for _ in ()).throw(BankError("nobody there"))
    with pytest.raises(BankError, match=r"did not answer for 0\.3 s .*Remedy: start it again"):
        reader.search({"maze": WordEmbedder().embed(["x"])}, 1)
    reader.close()


def test_a_shard_that_begins_while_the_server_is_away_waits_for_it():
    answers = [BankError("nobody there"), BankError("nobody there"), tenant := SimpleNamespace(close=lambda: None)]

    def connect():
        if isinstance(answer := answers.pop(0), BankError):
            raise answer
        return answer

    quick = FAST.model_copy(update={"retry_s": 0.01})
    reader = WeaviateReader(connect, quick)
    assert reader._tenants == [tenant]
    reader.close()
    answers += [BankError("nobody there")] * 1000
    with pytest.raises(BankError, match="nobody there"):
        WeaviateReader(connect, quick, patience_s=0.05)


def test_weaviate_embedded_holds_a_bank_without_any_server(tmp_path):
    config = BankConfig(index="weaviate", weaviate=FAST)
    store = WeaviateStore(config, ServersConfig(), run_id="run", folder=tmp_path / "weaviate")
    sink = store.sink()
    assert any("weaviate" in child.name() for child in psutil.Process().children())
    sink.note("7:x")
    assert (sink.mark(), sink.stored()) == ("7:x", {})
    sink.close()
    assert not any(
        "weaviate-v" in " ".join(child.cmdline()) for child in psutil.Process().children() if child.is_running()
    )
