"""Going back: the state after a rollback is byte for byte the state that was, and the redone future is the same."""

import pyarrow.parquet as pq
import pytest

from crl.bank.effect import Use
from crl.bank.records import Shown
from crl.errors import BankError
from tests.bank.samples import add, apply, merge, open_bank, show, texts, update


def play_round(bank, number):
    ids = apply(bank, f"a{number}", add(f"go {number}"), add(f"take {number}"), key_text=f"room {number}", round=number)
    show(bank, Shown(ids.added[0], f"r{number}.g0.e4", number))
    apply(bank, f"b{number}", update(f"go {number} again", ids.added[0]), round=number)
    oldest = tuple(entry.id for entry in bank.entries("maze")[:2])
    merge(bank, f"m{number}", oldest, f"merged {number}", round=number)
    show(bank, *(Shown(entry.id, f"r{number}.g1.e4", number) for entry in bank.entries()))
    bank.record_uses([Use(entry.id, number, 0, 2, 1 + number % 2, 2, 1) for entry in bank.entries()])
    bank.mark_trained([f"a{number}"], number)


def test_truncation_restores_the_exact_snapshot_and_the_same_future(tmp_path):
    bank = open_bank(tmp_path / "bank", capacity=8, evict="lru")
    positions, digests = [0], [bank.snapshot(tmp_path / "out")]
    for number in range(6):
        play_round(bank, number)
        positions.append(bank.position)
        digests.append(bank.snapshot(tmp_path / "out"))
    assert len(set(digests)) == 7
    for back in (5, 3, 0):
        bank.truncate_to(positions[back])
        assert (bank.snapshot(tmp_path / "out"), bank.verify()) == (digests[back], [])
        assert bank.ledger.trainings(f"a{back}") == (0, -1)
    for number in range(6):
        play_round(bank, number)
        assert (bank.position, bank.snapshot(tmp_path / "out")) == (positions[number + 1], digests[number + 1])
    bank.close()


def test_a_reopened_bank_continues_as_the_uninterrupted_one(tmp_path):
    digests = []
    for name, reopen in (("straight", False), ("interrupted", True)):
        bank = open_bank(tmp_path / name, capacity=8, evict="lru")
        for number in range(6):
            if reopen and number:
                position = bank.position
                play_round(bank, 99)  # a round that never commits
                bank.close()
                bank = open_bank(tmp_path / name, capacity=8, evict="lru")
                bank.truncate_to(position)
            play_round(bank, number)
        digests.append(bank.snapshot(tmp_path / "out"))
        bank.close()
    assert digests[0] == digests[1]


def test_a_position_beyond_the_end_is_refused(tmp_path):
    bank = open_bank(tmp_path)
    apply(bank, "c1", add("one"))
    with pytest.raises(BankError, match="position 9: the ledger holds events 0 to 1"):
        bank.truncate_to(9)
    assert texts(bank) == ["one"]
    bank.close()


def test_the_same_content_has_the_same_snapshot_whatever_the_history(tmp_path):
    straight, winding = open_bank(tmp_path / "a"), open_bank(tmp_path / "b")
    apply(straight, "c1", add("one"), add("two"))
    noise = apply(winding, "c0", add("noise"), scope="room").added[0]
    apply(winding, "c1", add("one"), add("two"))
    winding.quarantine(noise, "noise", round=1)
    assert straight.snapshot(tmp_path / "x") == winding.snapshot(tmp_path / "y")
    show(straight, Shown(straight.entries()[0].id, "k", 0))
    assert straight.snapshot(tmp_path / "x") != winding.snapshot(tmp_path / "y")
    rows = pq.read_table(tmp_path / "x" / "bank.parquet").to_pylist()
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert sorted((row["age_rank"], row["text"], row["shown"]) for row in rows) == [(0, "one", 1), (1, "two", 0)]
    told = pq.read_schema(tmp_path / "x" / "bank.parquet").metadata
    assert (told[b"crl.bank.format"], told[b"crl.bank.embedder"]) == (b"2", b"words")
    straight.close()
    winding.close()
