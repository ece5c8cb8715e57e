"""Token-budget micro-batches, in an order that depends on the lengths only."""

from collections.abc import Sequence


def micro_batches(lengths: Sequence[int], budget_tokens: int) -> tuple[tuple[int, ...], ...]:
    """Split sequences into micro-batches of at most `budget_tokens` padded tokens each.

    Returns indices into `lengths`. Longest first: neighbours are of like length, so little is padded, and a
    batch that does not fit into memory fails at once. A sequence longer than the budget is alone.
    """
    batches: list[tuple[int, ...]] = []
    current: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if current and lengths[current[0]] * (len(current) + 1) > budget_tokens:
            batches.append(tuple(current))
            current = []
        current.append(index)
    if current:
        batches.append(tuple(current))
    return tuple(batches)
