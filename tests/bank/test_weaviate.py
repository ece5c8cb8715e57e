"""What nodes read from Weaviate is right, saved, restored, migrated, searched by words; and told apart from the ledger."""

import secrets

import numpy as np
import pytest
import weaviate.classes.config as wvc
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from crl.bank.ledger import Ledger
from crl.bank.projector import Differences, Projection
from crl.bank.records import Change, Keyed, Kind, Record, Shown, State
from crl.bank.snapshot import FILE_NAME
from crl.bank.snapshot_reader import SnapshotReader
from crl.bank.stores import Item
from crl.bank.weaviate import collection, serve
from crl.bank.weaviate import tenant as tenant_module
from crl.bank.weaviate.client import connect
from crl.bank.weaviate.collection import back_up, restore
from crl.cli import bank as bank_cli
from crl.cli import bank_index
from crl.config.compose import compose, composed
from crl.config.servers import WeaviateConfig
from crl.errors import BankError, ConfigError, DataError
from crl.seeding import stream
from tests.bank.samples import DIM, WordEmbedder, add, apply, open_bank, show, update
from tests.bank.test_index import entry, unit
from tests.bank.weaviate_server import FAMILIES, FAST


@pytest.fixture
def client(weaviate_server, tmp_path):
    client = connect(weaviate_server.address, FAST, tmp_path)
    yield client
    client.close()


def fill(bank, vectors, scope="maze", first=0):
    """One event that adds an entry for each vector [N, D]."""
    keyed = [Keyed(entry(first + row, scope), vector) for row, vector in enumerate(vectors)]
    with bank._writing():
        bank._editor.commit([Change(Kind.ADD, 0, scope, added=tuple(keyed))])


def project(bank, folder, tenant):
    """Bring the tenant up to date, whatever it held."""
    ledger = Ledger.read_only(folder)
    Projection(ledger, tenant, FAMILIES).catch_up()
    ledger.close()


def items(*vectors):
    return [Item(Record(entry(i), v, State.LIVE, i, 1, 1, 0, 0), "minihack") for i, v in enumerate(vectors)]


def ids(answers):
    return [[hit.entry.id for hit in hits] for hits in answers]


def test_each_of_200_different_keys_is_found_beside_4000_identical_ones(weaviate_server, tmp_path):
    """Tasks repeat their situations exactly, and a graph index loses the others then."""
    bank, rng = open_bank(tmp_path), stream(11, "crowd")
    same, different = unit(rng, 1, DIM), unit(rng, 200, DIM)
    fill(bank, np.concatenate([different[:100], np.repeat(same, 4000, axis=0), different[100:]]))
    store = weaviate_server.store("crowd")
    tenant = store.sink()
    project(bank, tmp_path, tenant)
    reader = store.reader()
    found = reader.search({"maze": different}, 1)["maze"]
    assert [hits[0].entry.id for hits in found] == [str(n if n < 100 else n + 4000) for n in range(200)]
    queries = {"maze": np.concatenate([same, different[:5], unit(rng, 5, DIM)])}
    assert ids(reader.search(queries, 16)["maze"]) == ids(bank.search(queries, 16)["maze"])  # of the crowd, the newest
    reader.close()
    tenant.close()
    bank.close()


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10**6), rows=st.integers(1, 500), copies=st.integers(1, 60), k=st.integers(1, 30),
    gone=st.floats(0, 0.9),
)  # fmt: skip
def test_a_node_finds_what_the_run_finds_with_equal_keys_deletions_and_scopes(
    weaviate_server, tmp_path_factory, seed, rows, copies, k, gone
):
    folder, rng = tmp_path_factory.mktemp("bank"), stream(seed, "node")
    bank, store = (
        open_bank(folder, capacity=max(1, round(rows * (1 - gone)))),
        weaviate_server.store(secrets.token_hex(6)),
    )
    distinct = unit(rng, -(-rows // copies), DIM)
    fill(bank, distinct[rng.integers(len(distinct), size=rows)])
    fill(bank, distinct[:3], "room", first=rows)
    tenant, reader = store.sink(), store.reader()
    project(bank, folder, tenant)
    queries = np.concatenate([unit(rng, 4, DIM), distinct[:2]])
    asked = {"maze": queries, "room": queries[-1:], "nowhere": queries[:1]}
    found, expected = reader.search(asked, k), bank.search(asked, k)
    assert {scope: ids(rows) for scope, rows in found.items()} == {scope: ids(rows) for scope, rows in expected.items()}
    for open_ in (reader, tenant, bank):
        open_.close()


def test_a_reader_has_the_entries_counters_and_keeps_its_showings(weaviate_server, tmp_path):
    bank, store = open_bank(tmp_path / "bank"), weaviate_server.store("reader")
    old, key = apply(bank, "c1", add("go up"), add("take the key")).added
    apply(bank, "c2", update("go up, then left", old), key_text="a dark room with a door", round=1)
    show(bank, Shown(key, "r1.g0.e4", 1), Shown(key, "r2.g0.e4", 2))
    tenant = store.sink()
    project(bank, tmp_path / "bank", tenant)
    reader, query = store.reader(), {"maze": WordEmbedder().embed(["a dark room", "a door"])}
    found = reader.search(query, 4)
    assert found == {
        "maze": [[hit._replace(entry=bank.get(hit.entry.id)) for hit in hits] for hits in bank.search(query, 4)["maze"]]
    }
    bank.snapshot(tmp_path)
    assert found == SnapshotReader((tmp_path / FILE_NAME).read_bytes(), "words").search(query, 4)
    assert (reader.usage(key).shown, reader.usage(key).last_round) == (2, 2)
    shown = Shown(key, "r3.g0.e4", 3)
    reader.count_shown([shown])
    reader.search(query, 4)
    assert (reader.usage(key).shown, reader.shown) == (3, [shown])
    show(bank, *reader.shown)
    assert bank.get(key).shown == 3
    for open_ in (reader, tenant, bank):
        open_.close()


def test_a_refused_object_is_named_and_the_others_are_written(weaviate_server):
    tenant = weaviate_server.store("refused").sink()
    tenant.put(items(*unit(stream(1, "x"), 2, 4)))
    good, bad = items(unit(stream(1, "y"), 1, 4)[0], np.ones(3, np.float32))
    with pytest.raises(BankError, match=r"refused 1 of 2 objects \(1: .*length"):
        tenant.put([good, bad])
    assert tenant.stored()["0"] == good.digest
    tenant.close()


def test_a_tenant_that_differs_is_repaired_and_says_how_far_it_reaches(weaviate_server, tmp_path):
    bank = open_bank(tmp_path)
    fill(bank, unit(stream(6, "repair"), 30, DIM))
    tenant, ledger = weaviate_server.store("differs").sink(), Ledger.read_only(tmp_path)
    assert tenant.mark() == ""
    assert Projection(ledger, tenant, {}).repair() == Differences(missing=30)
    assert tenant.mark() == ledger.mark(1)
    tenant.delete(["3", "4", "nobody"])
    tenant.put(items(*unit(stream(6, "others"), 40, DIM))[28:])  # two of other content, ten that nobody knows
    projection = Projection(ledger, tenant, {})
    assert projection.differences() == projection.repair() == Differences(missing=2, changed=2, surplus=10)
    assert projection.differences().total == 0
    assert Projection(ledger, tenant, FAMILIES).differences() == Differences(changed=30)  # of another family
    for open_ in (tenant, ledger, bank):
        open_.close()


def test_objects_of_another_format_are_written_again_though_nothing_happened(weaviate_server, tmp_path, monkeypatch):
    bank, store = open_bank(tmp_path), weaviate_server.store("format")
    apply(bank, "c1", add("go up"))
    tenant, ledger = store.sink(), Ledger.read_only(tmp_path)
    assert Projection(ledger, tenant, {}).catch_up() == Differences(missing=1)
    assert Projection(ledger, tenant, {}).catch_up() == Differences()
    monkeypatch.setattr(tenant_module, "FORMAT", tenant_module.FORMAT + 1)
    assert Projection(ledger, tenant, {}).catch_up() == Differences(changed=1)
    assert Projection(ledger, tenant, {}).catch_up() == Differences()
    for open_ in (tenant, ledger, bank):
        open_.close()


def test_backup_and_restore_bring_a_collection_back_and_a_run_catches_up(weaviate_server, client, tmp_path):
    config = FAST.model_copy(update={"collection": "Saved"})
    bank, tenant = open_bank(tmp_path), weaviate_server.store("run", config).sink()
    ledger, vectors = Ledger.read_only(tmp_path), unit(stream(7, "backup"), 12, DIM)
    fill(bank, vectors[:10])
    Projection(ledger, tenant, {}).catch_up()
    back_up(client, "Saved", "one")
    with pytest.raises(BankError, match="backup 'one'"):
        back_up(client, "Saved", "one")
    fill(bank, vectors[10:], first=10)
    bank.quarantine("0", "useless", round=1)
    Projection(ledger, tenant, {}).catch_up()
    with pytest.raises(BankError, match=r"'Saved' exists.*--replace"):
        restore(client, "Saved", "one", replace=False)
    restore(client, "Saved", "one", replace=True)
    projection = Projection(ledger, tenant, {})
    assert projection.differences() == Differences(missing=2, surplus=1)
    assert projection.catch_up() == Differences()  # the restored server says what it has seen
    assert projection.differences().total == 0
    for open_ in (tenant, ledger, bank):
        open_.close()


def test_an_older_collection_is_migrated_and_then_right_and_a_newer_or_foreign_one_refused(
    weaviate_server, client, tmp_path
):
    old = FAST.model_copy(update={"collection": "Older"})
    kept = [item for item in collection.properties() if item.name not in ("key", "number")]
    graph = wvc.Configure.VectorIndex.hnsw(distance_metric=wvc.VectorDistances.DOT, flat_search_cutoff=10)
    client.collections.create(
        "Older", description=collection._DESCRIPTION.format(1), properties=kept,
        multi_tenancy_config=wvc.Configure.multi_tenancy(enabled=True),
        vector_config=wvc.Configure.Vectors.self_provided(vector_index_config=graph),
    )  # fmt: skip
    bank, rng, store = open_bank(tmp_path), stream(8, "older"), weaviate_server.store("older", old)
    same, different = unit(rng, 1, DIM), unit(rng, 20, DIM)
    fill(bank, np.concatenate([np.repeat(same, 1500, axis=0), different]))
    tenant = store.sink()
    assert collection.version_of(client, "Older") == collection.VERSION
    weaviate_server.store("older", FAST).sink().close()  # in a collection with a flat index
    client.collections.get(FAST.collection).config.update(description=collection._DESCRIPTION.format(2))
    assert collection.migrate(client, FAST.collection) == []
    assert collection.version_of(client, FAST.collection) == collection.VERSION
    project(bank, tmp_path, tenant)
    reader = store.reader()
    assert ids(reader.search({"maze": different}, 1)["maze"]) == [[str(1500 + n)] for n in range(20)]
    for open_ in (reader, tenant, bank):
        open_.close()
    client.collections.get("Older").config.update(description=collection._DESCRIPTION.format(collection.VERSION + 1))
    with pytest.raises(DataError, match=f"'Older': schema {collection.VERSION + 1}, this version of crl writes"):
        store.sink()
    client.collections.create("Foreign", description="of somebody else")
    with pytest.raises(DataError, match="'Foreign': a collection that is not crl's"):
        weaviate_server.store("foreign", FAST.model_copy(update={"collection": "Foreign"})).sink()


def test_hybrid_search_of_nodes_weighs_words_and_vectors(weaviate_server, tmp_path):
    bank = open_bank(tmp_path)
    apply(bank, "c1", add("dig with the pickaxe"), key_text="a dark room")
    apply(bank, "c2", add("open the door"), key_text="a bright hall")
    tenant = weaviate_server.store("hybrid").sink()
    project(bank, tmp_path, tenant)
    embedded = WordEmbedder().embed(["a dark room"])

    def first(alpha):
        reader = weaviate_server.store("hybrid", WeaviateConfig(**FAST.model_dump() | {"hybrid_alpha": alpha})).reader()
        [hits] = reader.search({"maze": embedded}, 1, {"maze": ["door"]})["maze"]
        reader.close()
        return [hit.entry.text for hit in hits]

    assert first(0.0) == ["open the door"]  # words alone, against the vector
    assert first(1.0) == ["dig with the pickaxe"]  # the vector alone
    assert first(None) == ["dig with the pickaxe"]
    tenant.close()
    bank.close()


def test_hybrid_search_without_nodes_is_refused():
    with pytest.raises(
        ConfigError, match=r"hybrid_alpha = 0\.5: only nodes search Weaviate.*Remedy: hybrid_alpha: null"
    ):
        composed("quick", ["bank.index=weaviate", "bank.weaviate.hybrid_alpha=0.5"])


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
        assert result.exit_code == code, (result.output, result.exception)
        return result.output or str(result.exception)

    assert "run run: 2 entries missing on the server, 0 changed, 0 surplus" in call("status", code=1)
    assert "2 added, 0 refreshed, 0 deleted" in call("repair")
    assert "0 entries missing on the server, 0 changed, 0 surplus" in call("status")
    assert "schema 3, added nothing" in call("migrate")
    assert "saved as told" in call("backup", "told")
    assert "restored from told" in call("restore", "told", "--replace")
    assert "0 entries missing on the server, 0 changed, 0 surplus" in call("status")
    params.write_text(yaml.safe_dump(values | {"bank": values["bank"] | {"index": "embedded"}}))
    assert "no server to look at" in call("status", code=1)
