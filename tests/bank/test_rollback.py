"""Going back: the state after a rollback is byte for byte the state that was, and the redone future is the same."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crl.bank.changes import entry_id
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
    assert (told[b"crl.bank.format"], told[b"crl.bank.embedder"]) == (b"3", b"words")
    straight.close()
    winding.close()


def rows(bank):
    """All that the ledger holds, table by table, but for the wall clock; each row by the event that wrote it."""
    found = []
    for table, seq in TABLES.items():
        for row in bank.ledger._db.execute(f"SELECT * FROM {table}"):
            told = {name: row[name] for name in row.keys() if name != "at_s"}  # noqa: SIM118
            found.append((told[seq], table, repr(sorted(told.items()))))
    return sorted(found)


TABLES = dict.fromkeys(("events", "origins", "states", "joins", "completions", "shown", "uses", "trainings"), "seq")
TABLES |= {"entries": "created_seq"}


def step(bank, number, kind, scope, words, aim):
    """One operation of any kind, the same whenever it is repeated in the same state."""
    live = bank.entries(scope)
    target = live[aim % len(live)].id if live else "nobody"
    match kind:
        case "add":
            apply(bank, f"c{number}", *map(add, words), scope=scope, key_text=words[0], round=number)
        case "update":
            apply(bank, f"c{number}", update(words[0], target), scope=scope, key_text=words[-1], round=number)
        case "merge":
            parents = dict.fromkeys([target, live[0].id if live else "nobody"])
            merge(bank, f"c{number}", tuple(parents), *dict.fromkeys(words), scope=scope, round=number)
        case "quarantine":
            bank.quarantine(target, "by chance", round=number)
        case "release":
            bank.release(entry_id("run", scope, words[0]), "by chance", round=number)
        case "use":
            show(bank, Shown(target, f"k{number}", number, 0.5))
            bank.record_uses([Use(target, number, 0, 2, aim % 3, 2, 1)])
        case "train":
            bank.mark_trained([f"c{number - 1}"], number)


KINDS = st.sampled_from(["add", "add", "update", "merge", "quarantine", "release", "use", "train"])
WORDS = st.lists(st.sampled_from(["go up", "up go", "go", "left", "left left up", "key"]), min_size=1, max_size=3)
STEPS = st.lists(st.tuples(KINDS, st.sampled_from(["maze", "room"]), WORDS, st.integers(0, 5)), min_size=1, max_size=14)


@settings(max_examples=30, deadline=None)
@given(steps=STEPS, cut=st.integers(0, 13), share=st.floats(0, 1))
def test_undoing_after_any_event_restores_what_was_and_replays_to_the_same(steps, cut, share):
    with TemporaryDirectory(prefix="bank-undo-") as folder:
        config = {"capacity": 4, "dedup_similarity": 0.9}
        bank, other = (open_bank(Path(folder) / name, **config) for name in ("whole", "part"))
        cut = min(cut, len(steps))
        for number, each in enumerate(steps):
            step(bank, number, *each)
            if number == cut - 1:
                position = bank.position
        for number, each in enumerate(steps[:cut]):
            step(other, number, *each)
        position, everything = position if cut else 0, rows(bank)
        bank.truncate_to(position)
        assert (rows(bank), bank.entries(), bank.verify()) == (rows(other), other.entries(), [])
        assert bank.memory.posterior.effects == other.memory.posterior.effects
        assert bank.snapshot(Path(folder) / "a") == other.snapshot(Path(folder) / "b")
        for number, each in enumerate(steps[cut:], start=cut):
            step(bank, number, *each)
        assert rows(bank) == everything
        middle = int(share * bank.position)  # also within a transaction
        bank.truncate_to(middle)
        assert rows(bank) == [row for row in everything if row[0] <= middle]
        assert bank.verify() == []
        bank.close()
        other.close()
