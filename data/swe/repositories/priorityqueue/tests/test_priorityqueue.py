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
# Hidden from the agent from here on: the task's test patch appends it.


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
