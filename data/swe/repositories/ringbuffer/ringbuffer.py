"""The last so many values of a stream."""


class RingBuffer:
    def __init__(self, size):
        self._slots = [None] * size
        self._next = 0
        self._count = 0

    def append(self, value):
        self._slots[self._next] = value
        self._next = (self._next + 1) % len(self._slots)
        self._count = min(self._count + 1, len(self._slots))

    def __len__(self):
        return self._count

    def values(self):
        """From the oldest to the newest."""
        if self._count < len(self._slots):
            return self._slots[: self._count]
        return self._slots[self._next :] + self._slots[: self._next]
