"""Which session owns which cache slot, how slots are kept close together, and what a new session finds in them."""

from collections.abc import Collection, Container, Iterable, Sequence

from crl.engine.kv_cache import SlotCache
from crl.engine.prefixes import SHORTEST, Held, Openings, share
from crl.engine.session import Context


class Slots:
    """Owners by slot. The lowest free slot goes first, so the order of closing does not matter."""

    def __init__(self, cache: SlotCache, shortest: int = SHORTEST) -> None:
        """Openings of `shortest` tokens and more are shared."""
        self._cache, self._shortest = cache, shortest
        self.reused = 0  # tokens that a new session found computed
        self.owners: list[Context | None] = [None] * cache.window.slots
        # By slot, until it is written again: a former owner's tokens, and their weights.
        self._left: dict[int, tuple[Held, int]] = {}

    def take(self, context: Context, running: Container[Context] = ()) -> bool:
        """Give the context a slot, if it has none and one is free.

        Sessions close on threads of their own, at any moment: the slot of one that still runs is not free, since a
        forward may be about to use it.
        """
        if context.slot is not None:
            return True
        for slot, owner in enumerate(self.owners):
            if owner is None or (owner.closed and owner not in running):
                self._vacate(slot)
                self.owners[slot], context.slot, context.cached = context, slot, 0
                return True
        return False

    def evict_idle(self, count: int) -> None:
        """Free the slots of up to `count` idle contexts, longest unused first; they are fed anew when they return."""
        idle = [owner for owner in self.owners if owner is not None and not owner.busy]
        idle.sort(key=lambda context: (context.last_step, context.key))
        for context in idle[:count]:
            self._vacate(context.slot)

    def clear(self) -> None:
        """Forget all cached tokens, e.g. after a forward that failed halfway."""
        for slot in range(len(self.owners)):
            self._vacate(slot)
        self._left.clear()

    @property
    def live(self) -> bool:
        """Whether some owner may ask again."""
        return any(owner is not None and not owner.closed for owner in self.owners)

    def share(self, running: Collection[Context], weights: int) -> set[Context]:
        """Give contexts of which nothing is cached the opening that another slot holds; returns those that wait for one.

        Only what these weights computed is shared. Whoever does not wait may be fed next.
        """
        new = [context for context in running if not context.cached and len(context.history) > self._shortest]
        waiting: set[Context] = set()
        if new:
            feeding = [context for context in running if 0 < context.cached < len(context.history) - 1]
            under_way = Openings(Held(each.history, each.key, each.slot) for each in feeding if each.weights == weights)
            copies, waiting = share(new, Openings(self._held(weights)), under_way, self._shortest)
            self._copy(copies, weights)
        for context in running if self._left else ():
            if context not in waiting:
                self._left.pop(context.slot, None)
        return waiting

    def _held(self, weights: int) -> list[Held]:
        owners = (owner for owner in self.owners if owner is not None and owner.cached and owner.weights == weights)
        held = [Held(owner.history[: owner.cached], owner.key, owner.slot) for owner in owners]
        return held + [left for left, computed_by in self._left.values() if computed_by == weights]

    def _copy(self, copies: dict[Context, tuple[Held, int]], weights: int) -> None:
        moves = [
            (held.slot, context.slot, length) for context, (held, length) in copies.items() if held.slot != context.slot
        ]
        if moves:
            sources, targets, lengths = zip(*moves, strict=True)
            self._cache.move(sources, targets, max(lengths))
        for context, (_, length) in copies.items():
            context.cached, context.weights = length, weights
            self.reused += length

    def gather(self, groups: Sequence[Sequence[Context]]) -> None:
        """Make each group's slots contiguous, unless at most as many other slots as its own lie between.

        Padding an idle slot through a forward costs about as much as moving a busy one away from it.
        """
        if all(_spread(group) <= 2 * len(group) for group in groups):
            return
        target_of: dict[Context, int] = {}
        start = 0
        for group in groups:
            target_of |= _nearest_places(group, range(start, start + len(group)))
            start += len(group)
        vacated = sorted({context.slot for context in target_of} - set(target_of.values()))
        pushed_out = [slot for slot in sorted(target_of.values()) if self.owners[slot] not in target_of]
        moves = list(target_of.items())
        moves += [
            (self.owners[slot], free) for slot, free in zip(pushed_out, vacated, strict=True) if self.owners[slot]
        ]
        filled = [(context.slot, target) for context, target in moves if context.cached]
        self._cache.move(
            [source for source, _ in filled],
            [target for _, target in filled],
            max((context.cached for context, _ in moves), default=0),
        )
        for context, _ in moves:
            self.owners[context.slot] = None
        for context, target in moves:
            self._left.pop(target, None)
            self.owners[target], context.slot = context, target

    def _vacate(self, slot: int) -> None:
        if (owner := self.owners[slot]) is not None:
            if owner.cached:
                self._left[slot] = Held(owner.history[: owner.cached], owner.key, slot), owner.weights
            owner.slot, owner.cached = None, 0
            self.owners[slot] = None


def _spread(contexts: Iterable[Context]) -> int:
    slots = [context.slot for context in contexts]
    return max(slots) - min(slots) + 1


def _nearest_places(group: Sequence[Context], places: range) -> dict[Context, int]:
    """Who must move where, so that the group fills `places`; whoever is inside stays."""
    taken = {context.slot for context in group if context.slot in places}
    movers = (context for context in group if context.slot not in places)
    return dict(zip(movers, (place for place in places if place not in taken), strict=True))
