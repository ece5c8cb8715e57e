"""Which entries leave a full table."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Literal

from crl.seeding import stream
from crl.types import Experience

Policy = Literal["fifo", "lru", "random", "effect"]


def victims(
    policy: Policy,
    candidates: Iterable[Experience],
    count: int,
    *,
    last_used: Callable[[str], int],
    effect: Callable[[str], float],
    seed_parts: tuple[int | str, ...],
) -> tuple[Experience, ...]:
    """`count` of the candidates, which come oldest first.

    fifo: the oldest. lru: the longest unused, counting creation as a use. random: drawn from the stream of
    `seed_parts`. effect: the lowest shrunk effect; unmeasured entries count as 0, so proven harm goes first,
    then the oldest of what nobody measured, and proven help stays.
    """
    match policy:
        case "fifo":
            return tuple(islice(candidates, count))
        case "lru":
            return tuple(sorted(candidates, key=lambda entry: last_used(entry.id))[:count])
        case "random":
            pool = list(candidates)
            drawn = stream(*seed_parts).choice(len(pool), size=min(count, len(pool)), replace=False)
            return tuple(pool[i] for i in sorted(drawn))
        case "effect":
            return tuple(sorted(candidates, key=lambda entry: effect(entry.id))[:count])
