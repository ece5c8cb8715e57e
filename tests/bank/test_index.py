"""Search is exact whatever the sizes, ties, deletions and batches; a reader sees whole operations only."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crl.bank.index import EmbeddedIndex
from crl.bank.nearest import CHUNK
from crl.seeding import stream
from crl.types import Experience, Origin
from tests.waiting import until

ROWS = 3000


def entry(id_, scope="s"):
    return Experience(str(id_), scope, f"text {id_}", "key", Origin("c", "e", 0, "distil"))


def unit(rng, *shape):
    vectors = rng.standard_normal(shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def expected(vectors, alive, query, k):
    """By brute force in float64: score to six decimals, then the newer."""
    scores = (vectors.astype(np.float64) @ query.astype(np.float64)).round(6)
    return [str(row) for row in sorted(np.flatnonzero(alive), key=lambda row: (-scores[row], -row))[:k]]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6), rows=st.integers(1, 900), copies=st.integers(1, 60), k=st.integers(1, 40),
    gone=st.floats(0, 0.9), batch=st.integers(1, 5),
)  # fmt: skip
def test_search_equals_brute_force_with_equal_keys_and_deletions(seed, rows, copies, k, gone, batch):
    index, rng = EmbeddedIndex(16), stream(seed, "index")
    distinct = unit(rng, -(-rows // copies), 16)
    vectors = distinct[rng.integers(len(distinct), size=rows)]
    alive = rng.random(rows) >= gone
    index.commit("s", [(entry(row), vectors[row]) for row in range(rows)], [])
    for dead in np.array_split(np.flatnonzero(~alive), 3):
        index.commit("s", [], [str(row) for row in dead])
    queries = np.concatenate([unit(rng, batch, 16), vectors[:1]])
    found = index.search({"s": queries}, k)["s"]
    assert [[hit.entry.id for hit in hits] for hits in found] == [expected(vectors, alive, q, k) for q in queries]


def test_search_across_chunks_and_scopes_at_once_equals_brute_force():
    rng = stream(1, "chunks")
    vectors, alive = unit(rng, 2 * CHUNK + 77, 32), np.ones(2 * CHUNK + 77, bool)
    alive[[5, CHUNK, 2 * CHUNK + 76]] = False
    index = EmbeddedIndex(32)
    index.commit("s", [(entry(row), vectors[row]) for row in range(len(vectors))], [])
    index.commit("s", [], [str(row) for row in np.flatnonzero(~alive)])
    index.commit("t", [(entry("other", "t"), vectors[0])], [])
    queries = np.concatenate([vectors[[5, CHUNK]], unit(rng, 3, 32)])
    found = index.search({"s": queries, "t": queries[:1], "none": queries[:2]}, 16)
    assert [[hit.entry.id for hit in hits] for hits in found["s"]] == [expected(vectors, alive, q, 16) for q in queries]
    assert [[hit.entry.id for hit in hits] for hits in found["t"]] == [["other"]]
    assert found["none"] == [[], []]


def test_a_result_does_not_depend_on_batch_mates_or_row_positions():
    rng, rows, other = stream(2, "positions"), ROWS, ROWS // 9
    vectors, queries = unit(rng, rows, 48), unit(rng, 33, 48)
    plain, holed = EmbeddedIndex(48), EmbeddedIndex(48)
    plain.commit("s", [(entry(row), vectors[row]) for row in range(rows)], [])
    holed.commit("s", [(entry(f"x{i}"), v) for i, v in enumerate(unit(rng, other, 48))], [])
    holed.commit("s", [(entry(row), vectors[row]) for row in range(rows)], [f"x{i}" for i in range(other)])
    together = plain.search({"s": queries}, 20)["s"]
    assert [holed.search({"s": q[None]}, 20)["s"][0] for q in queries] == together


def test_equal_keys_return_the_newest_first():
    index = EmbeddedIndex(4)
    key = np.array([1, 0, 0, 0], np.float32)
    index.commit("s", [(entry(row), key) for row in range(100)], [])
    assert [hit.entry.id for hit in index.search({"s": key[None]}, 3)["s"][0]] == ["99", "98", "97"]


def test_an_entry_that_is_added_and_removed_at_once_is_replaced_and_the_newest():
    index, keys = EmbeddedIndex(4), np.eye(4, dtype=np.float32)
    index.commit("s", [(entry(row), keys[0]) for row in range(3)], [])
    index.commit("s", [(entry(0), keys[1])], ["0"])
    assert np.array_equal(index.vector("0"), keys[1])
    assert [each.id for each in index.oldest_first("s")] == ["1", "2", "0"]
    assert [hit.entry.id for hit in index.search({"s": keys[:1]}, 9)["s"][0]] == ["2", "1", "0"]
    index.commit("s", [(entry(1), keys[0])], ["1"])  # the same key again: now it wins the tie
    assert [hit.entry.id for hit in index.search({"s": keys[:1]}, 2)["s"][0]] == ["1", "2"]
    index.commit("s", [], ["0", "1", "2"])
    assert index.count("s") == 0


def test_replacing_entries_again_and_again_compacts_and_keeps_their_newest_keys():
    index, rng = EmbeddedIndex(8), stream(4, "replaced")
    keys = dict.fromkeys(map(str, range(20)))
    for step in range(100):
        id_ = str(step % 20)
        known = keys[id_] is not None
        keys[id_] = unit(rng, 8)
        index.commit("s", [(entry(id_), keys[id_])], [id_] if known else [])
    assert [each.id for each in index.oldest_first("s")] == list(keys)
    assert all(np.array_equal(index.vector(id_), key) for id_, key in keys.items())
    assert [index.search({"s": key[None]}, 1)["s"][0][0].entry.id for key in keys.values()] == list(keys)


@pytest.mark.parametrize("size", [3, 700])
def test_concurrent_readers_never_see_half_an_operation(size):
    """Each operation replaces a whole generation by the next, so a reader must see exactly one generation."""
    index, rng, stop, seen = EmbeddedIndex(8), stream(3, "readers"), threading.Event(), []
    query = unit(rng, 1, 8)
    index.commit("s", [(entry(f"0.{i}"), v) for i, v in enumerate(unit(rng, size, 8))], [])

    def read():
        while not stop.is_set():
            found = [hit.entry.id for hit in index.search({"s": query}, size)["s"][0]]
            for ids in (found, [e.id for e in index.oldest_first("s")]):
                seen.append((len(ids), len({id_.split(".")[0] for id_ in ids})))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for generation in range(1, ROWS // 20):
        new = [(entry(f"{generation}.{i}"), v) for i, v in enumerate(unit(rng, size, 8))]
        index.commit("s", new, [f"{generation - 1}.{i}" for i in range(size)])
    until(lambda: seen, "a reader has read")
    stop.set()
    for reader in readers:
        reader.join(30)
    assert set(seen) == {(size, 1)}
