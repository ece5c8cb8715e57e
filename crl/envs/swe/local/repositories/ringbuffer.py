"""The repository ringbuffer: the last so many values of a stream."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""The last so many values of a stream."""


class RingBuffer:
    def __init__(self, size):
        self._slots = [None] * size
        self._next = 0
        self._count = 0

    def append(self, value):
        self._slots[self._next] = value
        self._next = (self._next + 1) % len(self._slots)
        self._count += 1

    def __len__(self):
        return self._count

    def values(self):
        """From the oldest to the newest."""
        if self._count < len(self._slots):
            return self._slots[: self._count]
        return self._slots[self._next :] + self._slots[: self._next]
'''
_TESTS = """\
from ringbuffer import RingBuffer


def test_partly_filled():
    buffer = RingBuffer(3)
    buffer.append(1)
    buffer.append(2)
    assert buffer.values() == [1, 2]
    assert len(buffer) == 2


def test_overwrites_the_oldest():
    buffer = RingBuffer(3)
    for value in range(5):
        buffer.append(value)
    assert buffer.values() == [2, 3, 4]
"""
_HIDDEN = """\


def test_length_stops_at_the_size():
    buffer = RingBuffer(3)
    lengths = []
    for value in range(5):
        buffer.append(value)
        lengths.append(len(buffer))
    assert lengths == [1, 2, 3, 3, 3]


def test_exactly_full():
    buffer = RingBuffer(2)
    buffer.append("a")
    buffer.append("b")
    assert buffer.values() == ["a", "b"]
    assert len(buffer) == 2
"""
_ISSUE = """\
len() of a full ring buffer keeps growing

RingBuffer(3) holds three values at most, but after ten appends len(buffer) says 10. It must never be more than the
size.
"""
RECIPE = Recipe(
    name="ringbuffer",
    split="eval",
    difficulty=2,
    issue=_ISSUE,
    files={"ringbuffer.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_length_stops_at_the_size",),
    candidates=(
        (Edit("ringbuffer.py", "self._count += 1", "self._count = min(self._count + 1, len(self._slots))"),),
        (Edit("ringbuffer.py", "self._count += 1", "self._count = (self._count + 1) % len(self._slots)"),),
        (Edit("ringbuffer.py", "        return self._count\n", "        return len(self._slots)\n"),),
        (Edit("ringbuffer.py", "        return self._count\n", "        return self._next\n"),),
    ),
)
