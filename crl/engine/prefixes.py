"""Openings that sessions share: what a new session copies from the cache instead of computing it, and who waits for whom.

The system prompt, the manual and a group's first observation are the same for many sessions. Whoever comes first computes
them; keys and values depend on the tokens before them alone, so the others copy. A radix tree of tokens in effect (L. Zheng et
al., SGLang, 2024), kept as the sorted list of what the slots hold: the longest common prefix is a neighbour's.
"""

from bisect import bisect, insort
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from crl.engine.session import Context

SHORTEST = 64  # tokens that are shared, unless told: for fewer, a copy and a step of waiting cost more than they save


@dataclass(frozen=True, slots=True, order=True)
class Held:
    """What one slot of the cache holds, or is about to. Ordered by its tokens; `key` parts equals, always in the same way."""

    ids: list[int]
    key: str
    slot: int


class Openings:
    """Finds the longest prefix that is held."""

    def __init__(self, held: Iterable[Held] = ()) -> None:
        self._held = sorted(held)

    def add(self, held: Held) -> None:
        insort(self._held, held)

    def longest(self, ids: list[int]) -> tuple[int, Held | None]:
        """How many leading tokens of `ids` somebody holds, and who; at most all but one, since the last gives the logits."""
        place = bisect(self._held, ids, key=lambda held: held.ids)
        neighbours = self._held[max(place - 1, 0) : place + 1]
        lengths = [min(common_prefix(held.ids, ids), len(ids) - 1) for held in neighbours]
        return max(zip(lengths, neighbours, strict=True), key=lambda found: found[0], default=(0, None))


def common_prefix(a: list[int], b: list[int]) -> int:
    """Length of it. By halving: slices are compared in C."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


def share(
    new: Collection[Context], held: Openings, under_way: Openings, shortest: int
) -> tuple[dict[Context, tuple[Held, int]], set[Context]]:
    """What each new context copies (from where, how many tokens), and who waits for an opening that is being computed.

    `under_way` gets those that are to be fed now. Of several that share an opening one goes ahead, and the others wait for it one
    step: a chain of them is as long as there are levels in the tree of openings. Fewer than `shortest` tokens are not shared.
    """
    copies: dict[Context, tuple[Held, int]] = {}
    waiting: set[Context] = set()
    for context in sorted(new, key=lambda context: (context.history, context.key)):
        ready, source = held.longest(context.history)
        ready = ready if ready >= shortest else 0
        soon, _ = under_way.longest(context.history)
        if soon >= ready + shortest:
            waiting.add(context)
            continue
        if ready:
            copies[context] = source, ready
        under_way.add(Held(context.history, context.key, context.slot))
    return copies, waiting
