"""A queue that hands out the item of the lowest priority number first."""

import heapq


class PriorityQueue:
    def __init__(self):
        self._heap = []
        self._pushed = 0

    def push(self, item, priority=0):
        heapq.heappush(self._heap, (priority, self._pushed, item))
        self._pushed += 1

    def pop(self):
        if not self._heap:
            raise IndexError("pop from an empty queue")
        return heapq.heappop(self._heap)[-1]

    def __len__(self):
        return len(self._heap)
