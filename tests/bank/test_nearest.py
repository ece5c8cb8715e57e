"""Coarse bounds are bounds whatever the vectors, and searching with or without them finds the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crl.bank import index as index_module
from crl.bank import table
from crl.bank.index import CHUNK, CROWD_SHARE, Bounds, EmbeddedIndex
from crl.bank.records import Keyed
from crl.seeding import stream
from crl.types import Experience, Origin

# Where the processor has no int8 products, nothing is coarse and there is nothing to compare.
CODED = [True] if table.is_native() else []


def shaped(rng, shape, rows, dim):
    """Unit vectors that are even, sparse, of one large and many small parts, or crowded around one."""
    vectors = rng.standard_normal((rows, dim))
    if shape == "sparse":
        vectors[rng.random((rows, dim)) < 0.95] = 0
    elif shape == "outliers":
        vectors[:, 0] *= 30
    elif shape == "crowded":
        vectors = vectors[:1] + 0.01 * vectors
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)  # all zeros where nothing is left


def filled(vectors, *, coded):
    index = EmbeddedIndex(vectors.shape[1], coded=coded)
    origin = Origin("c", "e", 0, "distil")
    index.load(Keyed(Experience(str(row), "s", "text", "key", origin), v) for row, v in enumerate(vectors))
    return index


SHAPES = st.sampled_from(["even", "sparse", "outliers", "crowded"])


@given(seed=st.integers(0, 10**6), shape=SHAPES, dim=st.sampled_from([3, 16, 384]))
def test_codes_lose_no_more_than_they_say(seed, shape, dim):
    vectors = shaped(stream(seed, "codes"), shape, 50, dim)
    codes = table.encoded(vectors)
    lost = vectors.astype(np.float64) - codes.values * codes.scales[:, None].astype(np.float64)
    assert (np.linalg.norm(lost, axis=1) <= codes.losses + 1e-7).all()
    assert codes.losses.max() <= 1
    alone = [table.encoded(row[None]) for row in vectors]
    assert all(np.array_equal(one.values[0], row) for one, row in zip(alone, codes.values, strict=True))


@pytest.mark.parametrize("coded", [False, *CODED])
@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), shape=SHAPES, dim=st.sampled_from([3, 16, 384]))
def test_no_score_exceeds_its_bound(coded, seed, shape, dim):
    rng = stream(seed, "bounds")
    vectors, queries = shaped(rng, shape, 300, dim), shaped(rng, shape, 4, dim)
    entries = [Experience(str(row), "s", "text", "key", Origin("c", "e", 0, "distil")) for row in range(300)]
    state = table.without(
        table.extended(table.empty(dim, coded=coded), list(zip(entries, vectors, strict=True))), [7, 299]
    )
    bounds = Bounds(state, queries, coarse=coded)
    bounds.fill(0)
    upper = bounds.upper[:, :300] + bounds.slack_B[:, None]
    live = np.delete(np.arange(300), [7, 299])
    exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
    assert (upper[:, live] >= exact[:, live]).all()
    assert (upper[:, [7, 299]] == -np.inf).all()


@pytest.mark.parametrize("coded", CODED)
@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    shape=SHAPES,
    rows=st.integers(1, 2500),
    k=st.integers(1, 40),
    gone=st.floats(0, 0.12),
)
def test_codes_change_no_result(coded, seed, shape, rows, k, gone):
    rng = stream(seed, "same")
    vectors = shaped(rng, shape, rows, 24)
    queries = np.concatenate([shaped(rng, shape, 5, 24), vectors[:2]])
    found = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(index_module, "COARSE_ROWS", 0)
        for index in (filled(vectors, coded=False), filled(vectors, coded=coded)):
            index.commit("s", [], [str(row) for row in range(int(gone * rows))])
            found.append(index.search({"s": queries}, k)["s"])
    assert found[0] == found[1]


@pytest.mark.parametrize("coded", CODED)
def test_what_coarse_bounds_leave_open_is_decided_all_the_same(coded):
    rng = stream(5, "open")
    # Half of the entries lie closer together than the codes can tell apart.
    vectors = np.concatenate([shaped(rng, "even", CHUNK, 48), shaped(rng, "crowded", CHUNK, 48)])
    vectors[CHUNK:] += 1e-4 * rng.standard_normal((CHUNK, 48))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries, index = vectors[[3, CHUNK + 3]], filled(vectors, coded=coded)
    bounds = Bounds(index._views["s"], queries, coarse=coded)
    for start in range(0, len(vectors), CHUNK):
        bounds.fill(start)
    assert [ranked is None for ranked in bounds.best(16)] == [False, True]
    assert CROWD_SHARE < 0.5
    exact = (queries.astype(np.float64) @ vectors.T.astype(np.float64)).round(6)
    best = [sorted(range(len(vectors)), key=lambda row, scores=scores: (-scores[row], -row))[:16] for scores in exact]
    assert [[int(hit.entry.id) for hit in hits] for hits in index.search({"s": queries}, 16)["s"]] == best


def test_an_index_of_many_rows_takes_up_an_eighth_of_deletions_and_then_compacts():
    vectors = shaped(stream(6, "compact"), "even", 800, 16)
    index = filled(vectors, coded=bool(CODED))
    index.commit("s", [], [str(row) for row in range(100)])
    assert index._views["s"].rows == 800
    index.commit("s", [], ["100"])
    state = index._views["s"]
    assert (state.rows, state.alive, len(state.losses)) == (699, 699, 699)
    assert np.array_equal(index.vector("101"), vectors[101])
    assert index.search({"s": vectors[101:102]}, 1)["s"][0][0].entry.id == "101"
