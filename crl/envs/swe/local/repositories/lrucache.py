"""The repository lrucache: a dictionary of bounded size that forgets what was used longest ago."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""A dictionary of bounded size that forgets what was used longest ago."""

from collections import OrderedDict


class LruCache:
    def __init__(self, capacity):
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self.capacity = capacity
        self._items = OrderedDict()

    def get(self, key, default=None):
        if key not in self._items:
            return default
        return self._items[key]

    def put(self, key, value):
        self._items[key] = value
        self._items.move_to_end(key)
        if len(self._items) > self.capacity:
            self._items.popitem(last=False)

    def __len__(self):
        return len(self._items)

    def keys(self):
        """From the least to the most recently used."""
        return list(self._items)
'''
_TESTS = """\
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
"""
_HIDDEN = """\


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
"""
_ISSUE = """\
Reading an entry does not protect it from eviction

With capacity 2 I put a and b, read a, then put c. I expect b to be dropped, since it was used longest ago, but a is
gone.
It behaves like a first-in first-out queue.
"""
RECIPE = Recipe(
    name="lrucache",
    split="train",
    difficulty=1,
    issue=_ISSUE,
    files={"lrucache.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_get_counts_as_use",),
    candidates=(
        (
            Edit(
                "lrucache.py",
                "            return default\n        return self._items[key]\n",
                ("            return default\n        self._items.move_to_end(key)\n        return self._items[key]\n"),
            ),
        ),
        (Edit("lrucache.py", "popitem(last=False)", "popitem(last=True)"),),
        (
            Edit(
                "lrucache.py",
                "            return default\n        return self._items[key]\n",
                (
                    "            return default\n"
                    "        self._items.move_to_end(key, last=False)\n"
                    "        return self._items[key]\n"
                ),
            ),
        ),
        (Edit("lrucache.py", "if len(self._items) > self.capacity:", "if len(self._items) >= self.capacity:"),),
    ),
)
