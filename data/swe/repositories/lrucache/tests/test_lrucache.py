import pytest

from lrucache import LruCache


def test_get_returns_what_was_put():
    cache = LruCache(2)
    cache.put("a", 1)
    assert cache.get("a") == 1
    assert cache.get("b", 7) == 7


def test_oldest_entry_is_dropped():
    cache = LruCache(2)
    for key in "abc":
        cache.put(key, key)
    assert cache.keys() == ["b", "c"]


def test_capacity_is_checked():
    with pytest.raises(ValueError):
        LruCache(0)
# Hidden from the agent from here on: the task's test patch appends it.


def test_get_counts_as_use():
    cache = LruCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert cache.keys() == ["a", "c"]


def test_a_miss_changes_nothing():
    cache = LruCache(2)
    cache.put("a", 1)
    assert cache.get("z") is None
    assert len(cache) == 1
