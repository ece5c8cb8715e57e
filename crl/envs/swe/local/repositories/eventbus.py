"""The repository eventbus: handlers that are called when something happens."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Handlers that are called when something happens."""


class EventBus:
    def __init__(self):
        self._handlers = {}

    def on(self, event, handler):
        """Register a handler; returns a function that removes it again."""
        handlers = self._handlers.setdefault(event, [])
        handlers.append(handler)
        return lambda: handlers.remove(handler)

    def once(self, event, handler):
        """Register a handler for the next time only."""

        def call(*args):
            remove()
            return handler(*args)

        remove = self.on(event, call)
        return remove

    def emit(self, event, *args):
        """Call all handlers in the order of registration; returns how many there were."""
        handlers = self._handlers[event]
        for handler in handlers:
            handler(*args)
        return len(handlers)
'''
_TESTS = """\
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
"""
_HIDDEN = """\


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
"""
_ISSUE = """\
emit() skips a handler after one that removes itself, and raises KeyError for unknown events

With once(e, a) and on(e, b), the first emit(e) calls only a. emit() of an event that nobody listens to should return
0.
"""
RECIPE = Recipe(
    name="eventbus",
    split="eval",
    difficulty=1,
    issue=_ISSUE,
    files={"eventbus.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=(
        "test_a_handler_that_removes_itself_skips_nobody",
        "test_nobody_listens",
        "test_a_handler_added_while_emitting_waits",
    ),
    candidates=(
        (
            Edit(
                "eventbus.py",
                "        handlers = self._handlers[event]\n",
                "        handlers = list(self._handlers.get(event, ()))\n",
            ),
        ),
        (
            Edit(
                "eventbus.py",
                "        handlers = self._handlers[event]\n",
                "        handlers = self._handlers.get(event, [])\n",
            ),
        ),
        (
            Edit(
                "eventbus.py",
                "        handlers = self._handlers[event]\n",
                "        handlers = list(self._handlers[event])\n",
            ),
        ),
        (
            Edit(
                "eventbus.py",
                "        handlers = self._handlers[event]\n",
                "        handlers = reversed(self._handlers.get(event, []))\n",
            ),
        ),
    ),
)
