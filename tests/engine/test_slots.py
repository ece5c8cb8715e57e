"""Slots move; what the cache holds for a session moves with it."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from crl.engine.kv_cache import SlotCache
from crl.engine.scheduler import _similar_lengths
from crl.engine.session import Context
from crl.engine.slots import Slots

SLOTS, COLUMNS = 12, 6


def filled_cache() -> SlotCache:
    """A cache of one layer in which slot s holds the value s everywhere."""
    cache = SlotCache(SLOTS, COLUMNS)
    cache.window.select(0, SLOTS, COLUMNS, torch.arange(COLUMNS).expand(SLOTS, -1))
    states = torch.arange(SLOTS, dtype=torch.float32)[:, None, None, None].expand(SLOTS, 2, COLUMNS, 4)
    cache.update(states, -states, 0)
    return cache


@given(data=st.data())
def test_gathering_groups_keeps_every_sessions_cache_and_makes_groups_dense(data):
    cache = filled_cache()
    slots = Slots(cache)
    owned = sorted(data.draw(st.sets(st.integers(0, SLOTS - 1), min_size=1)))
    contexts = {}
    for slot in owned:
        contexts[slot] = slots.owners[slot] = Context(f"s{slot}", slot=slot)
        contexts[slot].cached = data.draw(st.integers(0, COLUMNS))
    shuffled = data.draw(st.permutations(owned))
    active = shuffled[: data.draw(st.integers(1, len(shuffled)))]
    cut = data.draw(st.integers(0, len(active)))
    groups = [[contexts[slot] for slot in part] for part in (active[:cut], active[cut:]) if part]

    slots.gather(groups)

    for group in groups:
        places = [context.slot for context in group]
        assert max(places) - min(places) < 2 * len(places)
    layer = cache.layers[0]
    for origin, context in contexts.items():
        assert slots.owners[context.slot] is context
        assert (layer.keys[context.slot, :, : context.cached] == origin).all()
        assert (layer.values[context.slot, :, : context.cached] == -origin).all()
    assert sum(owner is not None for owner in slots.owners) == len(owned)


def test_the_longest_unused_session_is_evicted_first_and_busy_ones_never():
    slots = Slots(SlotCache(3, COLUMNS))
    old, new, busy = Context("a", last_step=1), Context("b", last_step=9), Context("c", last_step=0, busy=True)
    assert all(slots.take(context) for context in (old, new, busy))
    slots.evict_idle(1)
    assert (old.slot, new.slot, busy.slot) == (None, 1, 2)
    slots.evict_idle(5)
    assert (new.slot, busy.slot) == (None, 2)


def test_the_slot_of_a_closed_session_is_free():
    slots = Slots(SlotCache(1, COLUMNS))
    first, second = Context("a"), Context("b")
    assert slots.take(first)
    assert not slots.take(second)
    first.closed = True
    assert not slots.take(second, running={first})
    assert slots.take(second)
    assert (first.slot, second.slot) == (None, 0)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=40))
def test_rows_are_grouped_completely_and_padding_within_a_group_is_bounded(lengths):
    contexts = {Context(str(i), slot=i): length for i, length in enumerate(lengths)}
    groups = _similar_lengths(contexts)
    assert sorted(context.slot for group in groups for context in group) == list(range(len(lengths)))
    for group in groups:
        sizes = [contexts[context] for context in group]
        half = [size for size in sizes if 2 * size <= sizes[0]]
        assert sum(sizes[0] - size for size in half) <= 512  # beyond that they would have their own forward


def test_turns_of_like_lengths_share_one_forward_and_a_long_prompt_has_its_own():
    turns = {Context(str(i), slot=i): 8 + i % 6 for i in range(64)}
    assert len(_similar_lengths(turns)) == 1
    newcomer = Context("new", slot=64)
    assert [len(group) for group in _similar_lengths({**turns, newcomer: 300})] == [1, 64]
