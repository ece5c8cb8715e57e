from eventbus import EventBus


def test_handlers_are_called_in_order():
    bus, seen = EventBus(), []
    bus.on("x", lambda value: seen.append(("first", value)))
    bus.on("x", lambda value: seen.append(("second", value)))
    assert bus.emit("x", 1) == 2
    assert seen == [("first", 1), ("second", 1)]


def test_removal():
    bus, seen = EventBus(), []
    remove = bus.on("x", seen.append)
    remove()
    assert bus.emit("x", 1) == 0
    assert seen == []
# Hidden from the agent from here on: the task's test patch appends it.


def test_a_handler_that_removes_itself_skips_nobody():
    bus, seen = EventBus(), []
    bus.once("x", lambda: seen.append("once"))
    bus.on("x", lambda: seen.append("always"))
    assert bus.emit("x") == 2
    assert bus.emit("x") == 1
    assert seen == ["once", "always", "always"]


def test_nobody_listens():
    assert EventBus().emit("x") == 0


def test_a_handler_added_while_emitting_waits():
    bus, seen = EventBus(), []
    bus.on("x", lambda: bus.on("x", lambda: seen.append("late")))
    bus.emit("x")
    assert seen == []
