"""The repository shortestpath: shortest paths in a weighted graph: {node: {neighbour: cost}}."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Shortest paths in a weighted graph: {node: {neighbour: cost}}."""

import heapq


def shortest_path(graph, start, goal):
    """(cost, nodes) of a cheapest path, or None."""
    frontier = [(0, start, [start])]
    done = set()
    while frontier:
        cost, node, path = heapq.heappop(frontier)
        if node in done:
            continue
        done.add(node)
        for neighbour, weight in graph.get(node, {}).items():
            if neighbour == goal:
                return cost + weight, [*path, neighbour]
            if neighbour not in done:
                heapq.heappush(frontier, (cost + weight, neighbour, [*path, neighbour]))
    return None
'''
_TESTS = """\
from shortestpath import shortest_path


def test_a_line():
    assert shortest_path({"a": {"b": 2}, "b": {"c": 3}}, "a", "c") == (5, ["a", "b", "c"])


def test_no_path():
    assert shortest_path({"a": {"b": 1}}, "b", "a") is None
"""
_HIDDEN = """\


def test_a_cheap_detour_wins():
    graph = {"a": {"c": 10, "b": 1}, "b": {"c": 1}}
    assert shortest_path(graph, "a", "c") == (2, ["a", "b", "c"])


def test_already_there():
    assert shortest_path({"a": {"b": 1}}, "a", "a") == (0, ["a"])


def test_cycles_end():
    graph = {"a": {"b": 1}, "b": {"a": 1}}
    assert shortest_path(graph, "a", "z") is None
"""
_ISSUE = """\
shortest_path returns a dear path although a cheap detour exists

With a->c at cost 10, a->b and b->c at cost 1 each, I get (10, [a, c]) instead of (2, [a, b, c]).
shortest_path(graph, a, a) gives None, too; it should be (0, [a]).
"""
RECIPE = Recipe(
    name="shortestpath",
    split="train",
    difficulty=3,
    issue=_ISSUE,
    files={"shortestpath.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_a_cheap_detour_wins", "test_already_there"),
    candidates=(
        (
            Edit(
                "shortestpath.py",
                ("            if neighbour == goal:\n                return cost + weight, [*path, neighbour]\n"),
                "",
            ),
            Edit(
                "shortestpath.py",
                "        done.add(node)\n",
                ("        done.add(node)\n        if node == goal:\n            return cost, path\n"),
            ),
        ),
        (
            Edit(
                "shortestpath.py",
                "    done = set()\n",
                "    done = set()\n    if start == goal:\n        return 0, [start]\n",
            ),
        ),
        (
            Edit(
                "shortestpath.py",
                ("            if neighbour == goal:\n                return cost + weight, [*path, neighbour]\n"),
                "",
            ),
            Edit(
                "shortestpath.py",
                "        done.add(node)\n",
                ("        done.add(node)\n        if node == goal:\n            return len(path), path\n"),
            ),
        ),
        (
            Edit(
                "shortestpath.py",
                ("            if neighbour == goal:\n                return cost + weight, [*path, neighbour]\n"),
                "",
            ),
            Edit(
                "shortestpath.py",
                "        done.add(node)\n",
                ("        if node == goal and path[1:]:\n            return cost, path\n        done.add(node)\n"),
            ),
        ),
    ),
)
