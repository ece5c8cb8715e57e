from shortestpath import shortest_path


def test_a_line():
    assert shortest_path({"a": {"b": 2}, "b": {"c": 3}}, "a", "c") == (5, ["a", "b", "c"])


def test_no_path():
    assert shortest_path({"a": {"b": 1}}, "b", "a") is None
# Hidden from the agent from here on: the task's test patch appends it.


def test_a_cheap_detour_wins():
    graph = {"a": {"c": 10, "b": 1}, "b": {"c": 1}}
    assert shortest_path(graph, "a", "c") == (2, ["a", "b", "c"])


def test_already_there():
    assert shortest_path({"a": {"b": 1}}, "a", "a") == (0, ["a"])


def test_cycles_end():
    graph = {"a": {"b": 1}, "b": {"a": 1}}
    assert shortest_path(graph, "a", "z") is None
