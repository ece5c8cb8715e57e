"""What Weaviate holds of a bank: readable by others, repaired when it differs, saved, restored, migrated, searched by words."""

import numpy as np
import pytest
import weaviate.classes.config as wvc
import yaml
from typer.testing import CliRunner

from crl.bank.records import Shown
from crl.bank.weaviate import schema, serve
from crl.bank.weaviate.backup import back_up, restore
from crl.bank.weaviate.client import connect
from crl.bank.weaviate.reader import WeaviateReader
from crl.bank.weaviate.tenant import Item
from crl.cli import bank as bank_cli
from crl.cli import bank_index
from crl.config.compose import compose
from crl.config.learn import BankConfig
from crl.config.servers import WeaviateConfig
from crl.errors import BankError, ConfigError, DataError
from crl.seeding import stream
from tests.bank.samples import DIM, WordEmbedder, add, apply, open_bank, update
from tests.bank.test_index import entry, unit
from tests.bank.weaviate_server import FAST


@pytest.fixture
def client(weaviate_server, tmp_path):
    client = connect(weaviate_server.address, FAST, tmp_path)
    yield client
    client.close()


def test_searches_are_answered_by_the_server_and_equal_the_embedded_index(weaviate_server):
    rng, index = stream(5, "recall"), weaviate_server.index(DIM)
    vectors = unit(rng, 1500, DIM)
    for scope, rows in (("maze", range(1000)), ("room", range(1000, 1500))):
        index.commit(scope, [(entry(row, scope), vectors[row]) for row in rows], [])
    queries = {"maze": unit(rng, 20, DIM), "room": unit(rng, 5, DIM), "nowhere": unit(rng, 1, DIM)}
    assert index.search(queries, 16) == index.resident.index.search(queries, 16)
    metrics = index.metrics()
    assert (metrics["bank/index_resident"], metrics["bank/index_lost"], metrics["bank/index_down"]) == (0, 0, 0)
    assert index.differences().total == 0
    index.close()


def test_a_reader_without_the_ledger_finds_the_same_entries_and_counters(weaviate_server, tmp_path):
    bank = open_bank(tmp_path, make_index=lambda dim: weaviate_server.index(dim, tenant="reader"))
    old, key = apply(bank, "c1", add("go up"), add("take the key")).added
    apply(bank, "c2", update("go up, then left", old), key_text="a dark room with a door", round=1)
    bank.record_shown([Shown(key, "r1.g0.e4", 1), Shown(key, "r2.g0.e4", 2)])
    bank.snapshot(tmp_path / "snapshot")  # a round's end: counters reach the server
    reader = WeaviateReader(weaviate_server.address, BankConfig(weaviate=FAST), "reader")
    query = {"maze": WordEmbedder().embed(["a dark room", "a door"])}
    found = reader.search(query, 4)
    expected = bank.search(query, 4)
    for mine, theirs in zip(found["maze"], expected["maze"], strict=True):
        assert [hit.score for hit in mine] == pytest.approx([hit.score for hit in theirs], abs=2e-6)
        assert [hit.entry for hit in mine] == [bank.get(hit.entry.id) for hit in theirs]
    assert (reader.usage(key).shown, reader.usage(key).last_round) == (2, 2)
    shown = Shown(key, "r3.g0.e4", 3)
    reader.count_shown([shown])
    reader.search(query, 4)
    assert (reader.usage(key).shown, reader.shown) == (3, [shown])
    bank.record_shown(reader.shown)
    assert bank.get(key).shown == 3
    reader.close()
    bank.close()


def test_a_refused_object_is_named_and_written_later(weaviate_server):
    index = weaviate_server.index(4)
    axes = np.eye(4, dtype=np.float32)
    index.commit("s", [(entry("a"), axes[0])], [])
    item = Item(index._uuid("bad"), entry("bad"), np.ones(3, np.float32), "", index._item(entry("x"), axes[0]).counters)
    good = index._item(entry("good"), axes[1])
    with pytest.raises(BankError, match=r"refused 1 of 2 objects \(bad: .*length"):
        index._link.tenant.put([good, item])
    assert index.differences().surplus == 1  # the good one was written, and the copy does not know it
    assert [hit.entry.id for hit in index.search({"s": axes[:2]}, 5)["s"][1]] == ["a"]
    assert index.repair().surplus == 1
    index.close()


def test_a_tenant_that_differs_is_repaired_when_it_is_loaded(weaviate_server):
    index, rng = weaviate_server.index(8, tenant="differs"), stream(6, "repair")
    vectors = unit(rng, 30, 8)
    index.commit("s", [(entry(row), vectors[row]) for row in range(20)], [])
    index.close()
    again = weaviate_server.index(8, tenant="differs", families={"s": "minihack"})
    table = [(entry(row), vectors[row]) for row in range(5, 30)]
    again.load({"s": table})
    assert again.metrics()["bank/index_repaired"] == 5 + 15 + 10  # surplus, of another family, missing
    assert again.differences().total == 0
    again.load({"s": table})
    assert again.metrics()["bank/index_repaired"] == 0
    again.close()


def test_backup_and_restore_bring_a_collection_back(weaviate_server, client):
    config = FAST.model_copy(update={"collection": "Saved"})
    index = weaviate_server.index(8, config=config, tenant="run")
    vectors = unit(stream(7, "backup"), 12, 8)
    index.commit("s", [(entry(row), vectors[row]) for row in range(10)], [])
    back_up(client, "Saved", "one")
    with pytest.raises(BankError, match="backup 'one'"):
        back_up(client, "Saved", "one")
    index.commit("s", [(entry(row), vectors[row]) for row in (10, 11)], ["0"])
    with pytest.raises(BankError, match=r"'Saved' exists.*--replace"):
        restore(client, "Saved", "one", replace=False)
    restore(client, "Saved", "one", replace=True)
    found = index.differences()
    assert (found.missing, found.changed, found.surplus) == (2, 0, 1)
    index.repair()
    assert index.differences().total == 0
    assert [hit.entry.id for hit in index.search({"s": vectors[11:]}, 1)["s"][0]] == ["11"]
    index.close()


def test_an_older_collection_is_migrated_and_a_newer_or_foreign_one_refused(weaviate_server, client):
    old = FAST.model_copy(update={"collection": "Older"})
    kept = [item for item in schema.properties() if item.name not in ("used", "successes")]
    description = schema._DESCRIPTION.format(0)
    client.collections.create(
        "Older", description=description, properties=kept, multi_tenancy_config=wvc.Configure.multi_tenancy(enabled=True),
        vector_config=wvc.Configure.Vectors.self_provided(),
    )  # fmt: skip
    index = weaviate_server.index(4, config=old)
    assert schema.version_of(client, "Older") == schema.VERSION
    index.recount({"a": (1, 0, 4, 3)})
    index.commit("s", [(entry("a"), np.eye(4, dtype=np.float32)[0])], [])
    assert [stored.counters for stored in index._link.tenant.stored().values()] == [(1, 0, 4, 3)]
    index.close()
    client.collections.get("Older").config.update(description=schema._DESCRIPTION.format(schema.VERSION + 1))
    with pytest.raises(DataError, match=f"'Older': schema {schema.VERSION + 1}, this version of crl writes"):
        weaviate_server.index(4, config=old)
    client.collections.create("Foreign", description="of somebody else")
    with pytest.raises(DataError, match="'Foreign': a collection that is not crl's"):
        weaviate_server.index(4, config=FAST.model_copy(update={"collection": "Foreign"}))


def test_hybrid_search_weighs_words_and_vectors(weaviate_server, tmp_path):
    def first(alpha, text):
        config = WeaviateConfig(**FAST.model_dump() | {"hybrid_alpha": alpha})
        bank = open_bank(
            tmp_path / str(alpha),
            make_index=lambda dim: weaviate_server.index(dim, config=config, tenant=f"hybrid-{alpha or 0:.0f}"),
        )
        apply(bank, "c1", add("dig with the pickaxe"), key_text="a dark room")
        apply(bank, "c2", add("open the door"), key_text="a bright hall")
        embedded = WordEmbedder().embed(["a dark room"])
        hits = bank.search({"maze": embedded}, 1, {"maze": [text]})["maze"][0]
        bank.close()
        return [hit.entry.text for hit in hits]

    assert first(0.0, "door") == ["open the door"]  # words alone, against the vector
    assert first(1.0, "door") == ["dig with the pickaxe"]  # the vector alone
    assert first(None, "door") == ["dig with the pickaxe"]


def test_a_server_that_cannot_be_reached_is_told_with_the_remedy(weaviate_server, tmp_path, monkeypatch):
    nobody = weaviate_server.address.__class__("127.0.0.1", 1, 2, secure=False)
    with pytest.raises(BankError, match=r"Weaviate at http://127\.0\.0\.1:1, gRPC port 2: .*Remedy: start it"):
        connect(nobody, FAST, tmp_path)
    monkeypatch.setenv("CRL_WEAVIATE_BINARY", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"CRL_WEAVIATE_BINARY = .*no such program"):
        serve.binary()


def test_crl_bank_index_compares_repairs_migrates_saves_and_restores(weaviate_server, tmp_path, monkeypatch):
    monkeypatch.setattr(bank_index, "console", bank_index.Console(width=200))
    monkeypatch.setenv("CRL_WEAVIATE_URL", weaviate_server.url)
    values = compose("quick")
    values["bank"] |= {"index": "weaviate", "weaviate": FAST.model_dump() | {"collection": "Told"}}
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump(values))
    bank = open_bank(tmp_path / "bank")  # its ledger says run_id "run"
    apply(bank, "c1", add("go up"), add("take the key"))
    bank.close()

    def call(*arguments, code=0):
        runs = ["--run", str(tmp_path)] if arguments[0] in ("status", "repair") else []
        result = CliRunner().invoke(bank_cli.app, ["index", *arguments, *runs, "--params", str(params)])
        assert result.exit_code == code, result.output
        return result.output

    assert "2 entries in the ledger; on the server 2 missing, 0 changed, 0 surplus" in call("status", code=1)
    assert "2 added, 0 refreshed, 0 deleted" in call("repair")
    assert "0 missing" in call("status")
    assert "schema 1, added nothing" in call("migrate")
    assert "saved as told" in call("backup", "told")
    assert "restored from told" in call("restore", "told", "--replace")
    assert "0 missing, 0 changed, 0 surplus" in call("status")
