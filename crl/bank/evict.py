"""What leaves a full table, by the policy `bank.evict`."""

from collections.abc import Iterable, Sequence
from itertools import islice

from crl.bank.draft import Draft
from crl.bank.index import EmbeddedIndex
from crl.bank.memory import Memory
from crl.bank.records import Change, Kind
from crl.config.bank import BankConfig
from crl.seeding import stream
from crl.types import Experience


def make_room(
    draft: Draft, index: EmbeddedIndex, memory: Memory, config: BankConfig, scope: str, round_: int,
    seed_parts: tuple[int | str, ...],
) -> None:  # fmt: skip
    """Remove from a scope what is too much. What was just written stays, unless the table is too small even for that."""
    overflow = index.count(scope) + draft.growth - config.capacity
    if overflow <= 0:
        return
    older = (
        entry for entry in index.oldest_first(scope) if entry.id not in draft.gone and entry.id not in draft.placed
    )
    chosen = [entry.id for entry in _victims(config, older, overflow, memory, seed_parts)]
    evicted = (*chosen, *list(draft.placed)[: overflow - len(chosen)])
    draft.take(Change(Kind.EVICT, round_, scope, removed=evicted, detail=config.evict))


def _victims(
    config: BankConfig, candidates: Iterable[Experience], count: int, memory: Memory, seed_parts: tuple[int | str, ...]
) -> Sequence[Experience]:
    """`count` of the candidates; those that were not written for the longest time come first.

    fifo: the first. lru: the longest unused, counting writing as a use. random: drawn from the stream of `seed_parts`.
    effect: the lowest mean of what is believed; proven harm goes first, then what is like it or like nothing that helps.
    """
    match config.evict:
        case "fifo":
            return list(islice(candidates, count))
        case "lru":
            return sorted(candidates, key=lambda entry: memory.last_used(entry.id))[:count]
        case "random":
            pool = list(candidates)
            drawn = stream(*seed_parts).choice(len(pool), size=min(count, len(pool)), replace=False)
            return [pool[i] for i in sorted(drawn)]
        case "effect":
            return sorted(candidates, key=lambda entry: memory.belief(entry.id).mean)[:count]
