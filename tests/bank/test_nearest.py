"""The nearest entries are those of float64 scores, whatever the vectors; a table takes up deletions until it is compacted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crl.bank.index import EmbeddedIndex
from crl.bank.nearest import BLOCK, HALF, SLAB, _scores
from crl.bank.records import Keyed
from crl.seeding import stream
from crl.types import Experience, Origin

SHAPES = st.sampled_from(["even", "sparse", "outliers", "crowded", "crowded twice"])


def shaped(rng, shape, rows, dim):
    """Unit vectors that are even, sparse, of one large and many small parts, crowded around one, or nearly the same."""
    vectors = rng.standard_normal((rows, dim))
    if shape == "sparse":
        vectors[rng.random((rows, dim)) < 0.95] = 0
    elif shape == "outliers":
        vectors[:, 0] *= 30
    elif shape.startswith("crowded"):
        vectors = vectors[:1] + (1e-2 if shape == "crowded" else 1e-6) * vectors
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)  # all zeros where nothing is left


def filled(vectors, *, halved=None):
    index = EmbeddedIndex(vectors.shape[1], halved=halved)
    origin = Origin("c", "e", 0, "distil")
    index.load(Keyed(Experience(str(row), "s", "text", "key", origin), v) for row, v in enumerate(vectors))
    return index


def exactly(vectors, first, query, k):
    """The k nearest of the rows from `first` on, by scores to six decimals, then the newer."""
    scores = np.vecdot(vectors.astype(np.float64), query.astype(np.float64)).round(6)
    best = sorted(range(first, len(vectors)), key=lambda row: (-scores[row], -row))[:k]
    return [(str(row), scores[row]) for row in best]


@pytest.mark.parametrize("halved", [False, True])
@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    shape=SHAPES,
    dim=st.sampled_from([3, 24, 384]),
    rows=st.integers(1, 2500),
    k=st.integers(1, 40),
    gone=st.floats(0, 0.12),
)
def test_search_finds_the_nearest_by_float64_scores(halved, seed, shape, dim, rows, k, gone):
    rng, first = stream(seed, "same"), int(gone * rows)
    vectors = shaped(rng, shape, rows, dim)
    queries = np.concatenate([shaped(rng, shape, 5, dim), vectors[:2]])
    index = filled(vectors, halved=halved)
    index.commit("s", [], [str(row) for row in range(first)])
    found = index.search({"s": queries}, k)["s"]
    assert [[(hit.entry.id, hit.score) for hit in hits] for hits in found] == [
        exactly(vectors, first, query, k) for query in queries
    ]


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), shape=SHAPES, dim=st.sampled_from([3, 16, 384]))
def test_no_product_in_bfloat16_is_off_by_more_than_its_bound(seed, shape, dim):
    rng = stream(seed, "bound")
    vectors, queries = shaped(rng, shape, 300, dim), shaped(rng, shape, 4, dim)
    [view] = filled(vectors, halved=True)._views.values()
    scores_RB = _scores(view, view.halves, queries, lambda jobs: [job() for job in jobs])[:300]
    exact_RB = vectors.astype(np.float64) @ queries.astype(np.float64).T
    error = (2 + HALF) * HALF + (dim + 16) * 2.0**-24
    assert (np.abs(scores_RB.numpy() - exact_RB) <= error + HALF * (np.abs(exact_RB) + error)).all()


def test_the_newest_of_a_crowd_of_identical_keys_come_first():
    vectors = np.repeat(shaped(stream(5, "crowd"), "even", 1, 48), 3 * SLAB, axis=0)
    [hits] = filled(vectors).search({"s": vectors[:1]}, 4)["s"]
    assert [(hit.entry.id, hit.score) for hit in hits] == [(str(3 * SLAB - place), 1.0) for place in (1, 2, 3, 4)]


@pytest.mark.parametrize("where", ["at the head", "block by block"])
def test_whole_blocks_of_deleted_rows_hide_nothing(where):
    rows, k = 64 * BLOCK, 32
    vectors = shaped(stream(6, "blocks"), "even", rows, 16)
    blocks = range(8) if where == "at the head" else range(0, 64, 8)
    gone = {row for block in blocks for row in range(block * BLOCK, (block + 1) * BLOCK)}
    index = filled(vectors)
    index.commit("s", [], [str(row) for row in gone])
    assert index._views["s"].rows == rows  # not compacted yet
    found = index.search({"s": vectors[:40:3]}, k)["s"]
    nearest = [exactly(vectors, 0, query, rows) for query in vectors[:40:3]]
    assert [[(hit.entry.id, hit.score) for hit in hits] for hits in found] == [
        [pair for pair in pairs if int(pair[0]) not in gone][:k] for pairs in nearest
    ]


def test_an_index_of_many_rows_takes_up_an_eighth_of_deletions_and_then_compacts():
    vectors = shaped(stream(6, "compact"), "even", 800, 16)
    index = filled(vectors)
    index.commit("s", [], [str(row) for row in range(100)])
    assert index._views["s"].rows == 800
    index.commit("s", [], ["100"])
    state = index._views["s"]
    assert (state.rows, state.alive) == (699, 699)
    assert np.array_equal(index.vector("101"), vectors[101])
    assert index.search({"s": vectors[101:102]}, 1)["s"][0][0].entry.id == "101"
