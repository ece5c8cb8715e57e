"""The repository priorityqueue: a queue that hands out the item of the lowest priority number first."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""A queue that hands out the item of the lowest priority number first."""

import heapq


class PriorityQueue:
    def __init__(self):
        self._heap = []

    def push(self, item, priority=0):
        heapq.heappush(self._heap, (priority, item))

    def pop(self):
        if not self._heap:
            raise IndexError("pop from an empty queue")
        return heapq.heappop(self._heap)[-1]

    def __len__(self):
        return len(self._heap)
'''
_TESTS = """\
import pytest

from priorityqueue import PriorityQueue


def test_lowest_number_first():
    queue = PriorityQueue()
    for item, priority in (("late", 9), ("soon", 1), ("then", 5)):
        queue.push(item, priority)
    assert [queue.pop() for _ in range(3)] == ["soon", "then", "late"]


def test_empty_queue():
    with pytest.raises(IndexError):
        PriorityQueue().pop()
"""
_HIDDEN = """\


def test_equal_priorities_keep_their_order():
    queue = PriorityQueue()
    for item in ("pear", "apple", "fig"):
        queue.push(item)
    assert [queue.pop() for _ in range(3)] == ["pear", "apple", "fig"]


def test_items_need_no_order():
    queue = PriorityQueue()
    queue.push({"id": 1})
    queue.push({"id": 2})
    assert queue.pop() == {"id": 1}


def test_order_survives_pops():
    queue = PriorityQueue()
    queue.push("c")
    queue.push("b")
    assert queue.pop() == "c"
    queue.push("a")
    assert [queue.pop(), queue.pop()] == ["b", "a"]
"""
_ISSUE = """\
Items of equal priority come out in the wrong order, or crash

Two jobs with the same priority should leave in the order in which they came. Instead they are compared with each
other:
strings come out in alphabetical order and dictionaries raise TypeError.
"""
RECIPE = Recipe(
    name="priorityqueue",
    split="train",
    difficulty=3,
    issue=_ISSUE,
    files={"priorityqueue.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_equal_priorities_keep_their_order", "test_items_need_no_order", "test_order_survives_pops"),
    candidates=(
        (
            Edit(
                "priorityqueue.py", "        self._heap = []\n", "        self._heap = []\n        self._pushed = 0\n"
            ),
            Edit(
                "priorityqueue.py",
                "        heapq.heappush(self._heap, (priority, item))\n",
                ("        heapq.heappush(self._heap, (priority, self._pushed, item))\n        self._pushed += 1\n"),
            ),
        ),
        (Edit("priorityqueue.py", "(priority, item))", "(priority, len(self._heap), item))"),),
        (Edit("priorityqueue.py", "(priority, item))", "(priority, id(item), item))"),),
        (Edit("priorityqueue.py", "(priority, item))", "(priority, -len(self._heap), item))"),),
    ),
)
