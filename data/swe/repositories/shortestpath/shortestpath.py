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
        if node == goal:
            return cost, path
        for neighbour, weight in graph.get(node, {}).items():
            if neighbour not in done:
                heapq.heappush(frontier, (cost + weight, neighbour, [*path, neighbour]))
    return None
