"""Texts that say nearly the same share a cluster, which never changes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crl.bank.clusters import SAME_ADVICE, Clusters

EDGE = float(np.arccos(SAME_ADVICE))


def embedded(texts):
    """A text is an angle."""
    return np.stack([np.array([np.cos(float(text)), np.sin(float(text))], np.float32) for text in texts])


def test_an_entry_joins_the_nearest_leader_within_the_bound_of_its_scope():
    clusters = Clusters(embedded)
    assert [clusters.label("maze", str(share * EDGE)) for share in (0.0, 0.9, 1.1, 0.6)] == [0, 0, 1, 1]
    assert clusters.label("room", "1.0") == 0


@given(st.lists(st.floats(0, 6), min_size=1, max_size=20, unique=True), st.integers(0, 20))
def test_labels_count_up_and_go_on_from_the_leaders_that_were_kept(angles, kept):
    texts, whole, resumed = [str(angle) for angle in angles], Clusters(embedded), Clusters(embedded)
    labels = [whole.label("maze", text) for text in texts]
    leaders = [texts[labels.index(label)] for label in sorted(set(labels[:kept]))]
    resumed.load(("maze", leader) for leader in leaders)
    assert [resumed.label("maze", text) for text in texts[kept:]] == labels[kept:]
    assert sorted(set(labels)) == list(range(max(labels) + 1))
