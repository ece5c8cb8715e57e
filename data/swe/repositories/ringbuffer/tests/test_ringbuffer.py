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
# Hidden from the agent from here on: the task's test patch appends it.


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
