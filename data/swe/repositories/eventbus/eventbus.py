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
        handlers = list(self._handlers.get(event, ()))
        for handler in handlers:
            handler(*args)
        return len(handlers)
