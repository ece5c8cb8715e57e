"""The server dies or hangs under a bank that is read and written: nothing is lost, nobody waits for long, it is repaired."""

import os
import signal
import threading
import time
from contextlib import contextmanager

import numpy as np
import psutil

from crl.bank.backends import index_of
from crl.bank.bank import Bank
from crl.config.learn import BankConfig
from crl.config.servers import ServersConfig, WeaviateConfig
from tests.bank.samples import WordEmbedder, add, apply, open_bank, texts, update
from tests.bank.test_index import entry
from tests.bank.weaviate_server import WeaviateServer

IMPATIENT = WeaviateConfig(retry_s=0.2, timeout_s=5.0)


def until(condition, wait_s=60.0):
    deadline = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


@contextmanager
def searching(bank: Bank):
    """Two threads that search all the time; every answer must be the one table's nearest that is there."""
    stop, counts, faults = threading.Event(), [0, 0], []
    query = WordEmbedder().embed(["room 3", "room 5"])

    def search(number):
        while not stop.is_set():
            try:
                answers = bank.search({"maze": query}, 4)["maze"]
                assert all(len({hit.entry.id for hit in hits}) == len(hits) == 4 for hits in answers)
                counts[number] += 1
            except BaseException as error:  # noqa: BLE001 - told by the test's own thread
                faults.append(error)
                return

    threads = [threading.Thread(target=search, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    yield counts
    stop.set()
    for thread in threads:
        thread.join(30)
    assert faults == []


def write(bank, numbers):
    """One operation each; those that 3 divides replace the entry before them."""
    for number in numbers:
        text = f"advice {number}"
        operation = update(text, bank.entry_id(f"c{number - 1}", 0)) if number % 3 == 0 else add(text)
        apply(bank, f"c{number}", operation, key_text=f"room {number % 7}", round=number // 10)


def written(upto):
    """The texts that are there after `write` of so many."""
    return {f"advice {number}" for number in range(upto) if number % 3 != 2 or number == upto - 1}


def test_a_server_that_is_killed_costs_nothing_and_is_repaired_when_it_returns(
    weaviate_server: WeaviateServer, tmp_path, told
):
    bank = open_bank(tmp_path, make_index=lambda dim: weaviate_server.index(dim, tenant="killed"))
    index = bank._store.index
    write(bank, range(30))
    with searching(bank) as counts:
        killer = threading.Timer(0.2, weaviate_server.kill)
        killer.start()
        write(bank, range(30, 90))  # the kill falls into these
        killer.join()
        until(lambda: not index.serving)
        before = list(counts)
        write(bank, range(90, 120))
        until(lambda: min(now - then for now, then in zip(counts, before, strict=True)) > 5)
        assert set(texts(bank)) == written(120)  # all that was acknowledged, before, in and after the kill
        lost = bank.metrics()
        assert (lost["bank/index_down"], lost["bank/index_lost"]) == (1, 1)
        weaviate_server.start()
        write(bank, range(120, 130))  # while it is repaired
        until(lambda: index.serving)
    found = index.differences()
    assert (found.missing, found.changed, found.surplus) == (0, 0, 0)
    back = bank.metrics()
    assert back["bank/index_down"] == 0
    assert back["bank/index_repaired"] >= 30
    query = {"maze": WordEmbedder().embed([f"room {number}" for number in range(7)])}
    assert bank.search(query, 3) == index.resident.index.search(query, 3)
    assert bank.metrics()["bank/index_resident"] == 0  # answered by the server
    assert (bank.verify(), set(texts(bank))) == ([], written(130))
    first, *between, last = [message.split(":")[0].split(",")[0] for message in told]
    assert (first, last) == ("Weaviate is lost", "Weaviate is back and repaired")
    # A server says that it is ready before it has loaded its collections: then that is told, and tried again.
    assert set(between) <= {"Weaviate answers but could not be repaired"}
    bank.close()


def test_a_server_that_hangs_is_given_up_after_the_timeout(weaviate_server: WeaviateServer):
    index = weaviate_server.index(4, config=IMPATIENT)
    axes = np.eye(4, dtype=np.float32)
    index.commit("s", [(entry("a"), axes[0])], [])
    until(lambda: index.serving)  # a busy machine may have taken longer than the timeout
    os.kill(weaviate_server.running.pid, signal.SIGSTOP)
    try:
        assert [hit.entry.id for hit in index.search({"s": axes[:1]}, 1)["s"][0]] == ["a"]
        assert not index.serving
        index.commit("s", [(entry("b"), axes[1])], ["a"])
        assert [hit.entry.id for hit in index.search({"s": axes[:1]}, 1)["s"][0]] == ["b"]
    finally:
        os.kill(weaviate_server.running.pid, signal.SIGCONT)
    until(lambda: index.serving)
    assert index.differences().total == 0
    index.close()


def test_weaviate_embedded_keeps_a_bank_without_any_server(tmp_path):
    config = BankConfig(index="weaviate", weaviate=IMPATIENT.model_copy(update={"timeout_s": 10.0}))
    made = index_of(config, ServersConfig(), tenant="run", folder=tmp_path / "weaviate", families={"maze": "minihack"})
    bank = open_bank(tmp_path / "bank", make_index=made, index="weaviate")
    write(bank, range(8))
    query = {"maze": WordEmbedder().embed(["room 3"])}
    index = bank._store.index
    assert bank.search(query, 3) == index.resident.index.search(query, 3)
    assert (bank.metrics()["bank/index_resident"], index.serving) == (0, True)
    children = psutil.Process().children()
    assert any("weaviate" in child.name() for child in children)
    bank.close()
    assert not any(child.is_running() and "weaviate-v" in " ".join(child.cmdline()) for child in children)
