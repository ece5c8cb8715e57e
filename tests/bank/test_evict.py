"""A full table makes room by the configured policy, and the same run makes the same room."""

import pytest

from crl.bank.effect import Use
from crl.bank.records import Shown
from tests.bank.samples import add, apply, open_bank, show, texts


def filled(folder, policy, seed=7):
    bank = open_bank(folder, capacity=3, evict=policy, seed=seed)
    ids = [apply(bank, f"c{i}", add(f"advice {i}")).added[0] for i in range(3)]
    return bank, ids


def test_fifo_drops_the_oldest(tmp_path):
    bank, ids = filled(tmp_path, "fifo")
    report = apply(bank, "c3", add("advice 3"), add("advice 4"))
    assert (report.evicted, texts(bank)) == (tuple(ids[:2]), ["advice 2", "advice 3", "advice 4"])
    assert bank.verify() == []
    bank.close()


def test_each_scope_has_its_own_capacity(tmp_path):
    bank, _ = filled(tmp_path, "fifo")
    assert apply(bank, "c3", add("elsewhere"), scope="room").evicted == ()
    bank.close()


def test_lru_drops_the_longest_unused_also_after_reopening(tmp_path):
    bank, ids = filled(tmp_path, "lru")
    show(bank, Shown(ids[0], "k", 1))
    show(bank, Shown(ids[1], "k", 1))
    assert apply(bank, "c3", add("advice 3")).evicted == (ids[2],)
    bank.close()
    bank = open_bank(tmp_path, capacity=3, evict="lru")
    assert apply(bank, "c4", add("advice 4")).evicted == (ids[0],)
    bank.close()


def test_random_depends_on_the_seed_alone(tmp_path):
    def evicted(name, seed):
        bank, _ = filled(tmp_path / name, "random", seed)
        out = [apply(bank, f"d{i}", add(f"more {i}")).evicted for i in range(12)]
        bank.close()
        return out

    assert evicted("a", 1) == evicted("b", 1)
    assert evicted("c", 2) != evicted("d", 1)


def test_effect_drops_proven_harm_first_and_never_proven_help(tmp_path):
    bank, (harmful, helpful, unmeasured) = filled(tmp_path, "effect")
    bank.record_uses([Use(harmful, 0, g, 4, 0, 4, 2) for g in range(4)])
    bank.record_uses([Use(helpful, 0, g, 4, 4, 4, 2) for g in range(4)])
    assert bank.belief(harmful).mean < bank.belief(unmeasured).mean < bank.belief(helpful).mean
    assert apply(bank, "c3", add("advice 3")).evicted == (harmful,)
    assert apply(bank, "c4", add("advice 4")).evicted == (unmeasured,)
    assert [apply(bank, f"d{i}", add("x")).evicted != (helpful,) for i in range(5)] == [True] * 5
    bank.close()


@pytest.mark.parametrize("policy", ["fifo", "lru", "random", "effect"])
def test_a_table_smaller_than_one_operation_keeps_the_newest(tmp_path, policy):
    bank = open_bank(tmp_path, capacity=1, evict=policy)
    apply(bank, "c1", add("A"), add("B"), add("C"))
    assert texts(bank) == ["C"]
    assert bank.verify() == []
    bank.close()
