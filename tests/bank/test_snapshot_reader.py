"""A snapshot that travels to another machine finds what the bank finds, and tells what it showed."""

from pathlib import Path

import numpy as np
import pytest

from crl.bank.records import Shown
from crl.bank.snapshot import FILE_NAME
from crl.bank.snapshot_reader import SnapshotReader
from crl.errors import DataError
from crl.round.shards import together
from tests.bank.samples import DIM, WordEmbedder, add, apply, open_bank, show


def snapshot_of(bank, folder: Path) -> bytes:
    bank.snapshot(folder)
    return (folder / FILE_NAME).read_bytes()


def test_it_finds_the_same_entries_in_the_same_order_with_the_same_counters(tmp_path: Path) -> None:
    bank = open_bank(tmp_path / "bank")
    for index in range(6):  # two situations: ties, which the newer entry wins
        scope = "maze" if index < 5 else "room"
        apply(bank, f"c{index}", add(f"advice {index}"), scope=scope, key_text=f"a dark room {index % 2}")
    first = bank.entries("maze")[0]
    show(bank, Shown(first.id, "r3.g0.e4", 3))
    reader = SnapshotReader(snapshot_of(bank, tmp_path), "words")
    queries = {"maze": WordEmbedder().embed(["a dark room 1", "lava"]), "room": WordEmbedder().embed(["a dark room 1"])}
    for scope, rows in bank.search(queries, 4).items():
        found = reader.search(queries, 4)[scope]
        assert [[hit.entry.id for hit in row] for row in found] == [[hit.entry.id for hit in row] for row in rows]
    assert (reader.usage(first.id).shown, reader.usage(first.id).last_round) == (1, 3)
    assert reader.usage("nobody").shown == 0
    bank.close()


def test_showings_steer_its_own_retrievals_and_are_kept_for_the_banks_owner(tmp_path: Path) -> None:
    bank = open_bank(tmp_path / "bank")
    entry = apply(bank, "c", add("advice")).added[0]
    reader = SnapshotReader(snapshot_of(bank, tmp_path), "words")
    rows = [Shown(entry, "r1.g0.e4", 1), Shown(entry, "r1.g0.e5", 1)]
    reader.count_shown(rows)
    assert reader.usage(entry).shown == 2
    assert reader.shown == rows
    assert bank.usage(entry).shown == 0  # not before the rows are back
    bank.close()


def test_an_empty_bank_and_another_embedders_bank(tmp_path: Path) -> None:
    bank = open_bank(tmp_path / "bank")
    snapshot = snapshot_of(bank, tmp_path)
    bank.close()
    assert SnapshotReader(snapshot, "words").search({"maze": np.ones((1, DIM), np.float32)}, 3) == {"maze": [[]]}
    with pytest.raises(DataError, match=r"'words', not 'minilm'.*Remedy"):
        SnapshotReader(snapshot, "minilm")


def test_several_retrievers_report_as_one() -> None:
    rows = [
        {"retrieve/queries": 8.0, "retrieve/batch_size": 4.0, "retrieve/embed_s": 1.0},
        {"retrieve/queries": 2.0, "retrieve/batch_size": 1.0, "retrieve/embed_s": 0.5},
        {"retrieve/queries": 0.0, "retrieve/batch_size": 0.0, "retrieve/embed_s": 0.0},
        {},
    ]
    assert together(rows) == {"retrieve/queries": 10.0, "retrieve/batch_size": 2.5, "retrieve/embed_s": 1.5}
