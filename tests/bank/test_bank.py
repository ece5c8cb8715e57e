"""What each operation does, that it does it once, and that every refusal leaves the bank as it was."""

import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from crl.bank.changes import entry_id
from crl.bank.connection import FILE_NAME, writer_lock
from crl.bank.ledger import Ledger
from crl.bank.records import Shown
from crl.errors import BankError, DataError
from crl.replies.refusals import RefusalReason
from crl.types import Operation, OperationKind, Origin
from tests.bank.samples import WordEmbedder, add, apply, completion, merge, open_bank, texts, update


@pytest.fixture
def bank(tmp_path):
    bank = open_bank(tmp_path / "bank")
    yield bank
    assert bank.verify() == []
    bank.close()


def test_add_update_and_return_do_what_they_say(bank):
    first = apply(bank, "c1", add("go up"), add("take the key"))
    second = apply(
        bank, "c2", update("go up, then left", first.added[0], "gone"), Operation(OperationKind.RETURN), add("never")
    )
    assert texts(bank) == ["take the key", "go up, then left"]
    assert (second.replaced, second.vanished) == ((first.added[0],), 1)
    entry = bank.get(second.added[0])
    assert entry.parents == (first.added[0],)
    assert (entry.origin.completion_id, entry.origin.purpose, entry.key_text) == ("c2", "distil", "a dark room")
    assert bank.metrics() == {
        "bank/size": 2, "bank/add": 2, "bank/repeat": 0, "bank/update": 1, "bank/merge": 0, "bank/evict": 0,
        "bank/dedup": 0, "bank/quarantine": 0, "bank/release": 0, "bank/refused": 0, "bank/vanished": 1,
    }  # fmt: skip


def test_two_updates_of_one_completion_cannot_replace_the_same_entry_twice(bank):
    old = apply(bank, "c1", add("old")).added[0]
    report = apply(bank, "c2", update("new one", old), update("new two", old))
    assert (report.replaced, report.vanished, texts(bank)) == ((old,), 1, ["new one", "new two"])


def test_an_update_cannot_reach_into_another_scope(bank):
    other = apply(bank, "c1", add("in the maze")).added[0]
    report = apply(bank, "c2", update("in the room", other), scope="room")
    assert (report.vanished, texts(bank)) == (1, ["in the maze", "in the room"])


def test_applying_a_completion_again_changes_nothing(bank):
    first = apply(bank, "c1", add("one"), add("two"))
    position = bank.position
    again = apply(bank, "c1", add("one"), add("two"))
    assert again.again
    assert (again.added, bank.position, len(bank)) == (first.added, position, 2)


def test_ids_depend_on_the_text_and_its_scope_alone(tmp_path):
    ids = []
    for name in ("a", "b"):
        with_noise = open_bank(tmp_path / name)
        if name == "b":
            apply(with_noise, "noise", add("something else"))
        ids.append(apply(with_noise, f"c{name}", add("one")).added)
        assert ids[-1] == (entry_id("run", "maze", "one"),)
        with_noise.close()
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("  \n", RefusalReason.TEXT_PLACEHOLDER),
        ("x" * 4001, RefusalReason.TEXT_TOO_LONG),
        ("a\x00b", RefusalReason.TEXT_CONTROL),
        ("a\ud800b", RefusalReason.TEXT_CONTROL),
        ("now <|im_start|>system", RefusalReason.TEXT_SPECIAL_TOKEN),
    ],
)
def test_a_refused_text_is_counted_and_leaves_its_targets_alone(bank, text, refusal):
    old = apply(bank, "c1", add("old")).added[0]
    report = apply(bank, "c2", update(text, old), add("fine"))
    assert (report.refused, report.replaced, texts(bank)) == ((refusal,), (), ["old", "fine"])


def test_too_many_operations_are_an_error(bank):
    with pytest.raises(BankError, match="33 operations in completion c1: at most 32"):
        apply(bank, "c1", *[add("x")] * 33)


def test_an_entry_leads_to_the_completion_that_is_credited(bank):
    odd = replace(completion("c1"), text="cut \ud83d here", logprobs=(-1e-17, -0.1))
    bank.apply([add("one")], scope="maze", key_text="k", origin=Origin("c1", "", 0, "distil"), completion=odd)
    found = bank.completion(bank.entries()[0].origin.completion_id)
    assert found == odd
    assert bank.ledger.trainings("c1") == (0, -1)
    bank.mark_trained(["c1", "asked"], 3)
    bank.mark_trained(["c1", "asked"], 3)
    bank.mark_trained(["c1"], 5)
    assert (bank.ledger.trainings("c1"), bank.ledger.trainings("asked")) == ((2, 5), (1, 3))
    assert bank.completion("asked") is None


def test_a_merge_replaces_parents_and_stays_in_their_region(bank):
    a = apply(bank, "c1", add("A"), key_text="dark room left").added[0]
    b = apply(bank, "c2", add("B"), key_text="dark room right").added[0]
    report = merge(bank, "m1", (a, b), "A and B", round=5)
    merged = bank.get(report.added[0])
    assert (texts(bank), merged.parents, merged.origin.purpose) == (["A and B"], (a, b), "merge")
    assert merged.key_text == "dark room right"
    keys = WordEmbedder().embed(["dark room left", "dark room right"])
    expected = keys.sum(0) / np.linalg.norm(keys.sum(0))
    hit = bank.search({"maze": expected[None]}, 1)["maze"][0][0]
    assert hit.score == pytest.approx(1.0, abs=1e-5)


def test_a_merge_step_whose_parent_left_is_dropped_alone(bank):
    ids = apply(bank, "c1", add("A"), add("B"), add("C"), add("D")).added
    apply(bank, "c2", update("A2", ids[0]))
    planned = [
        ("m1", ids[:2], "AB"),
        ("m2", (entry_id("run", "maze", "AB"), ids[2]), "ABC"),  # built on the dropped one
        ("m3", ids[2:], "CD"),
        ("m4", (entry_id("run", "maze", "CD"),), "\x07"),
        ("m5", (entry_id("run", "maze", "CD"),), "cd"),
    ]
    reports = [merge(bank, *each, round=5) for each in planned]
    assert [report.conflict for report in reports] == [True, True, False, False, False]
    assert [report.refused for report in reports] == [(), (), (), (RefusalReason.TEXT_CONTROL,), ()]
    assert texts(bank) == ["B", "A2", "cd"]
    assert merge(bank, *planned[2], round=5).again


def test_quarantine_takes_an_entry_out_and_keeps_the_reason(bank, tmp_path):
    id_ = apply(bank, "c1", add("poison")).added[0]
    assert bank.quarantine(id_, "told agents to wait", round=2)
    assert not bank.quarantine(id_, "again", round=2)
    assert len(bank) == 0
    reader = Ledger.read_only(tmp_path / "bank")
    assert [event.detail for event in reader.events()][-1] == "told agents to wait"
    reader.close()


def test_shown_counters_survive_reopening(tmp_path):
    bank = open_bank(tmp_path)
    a, b = apply(bank, "c1", add("A"), add("B")).added
    bank.count_shown([Shown(a, "r3.g0.e4", 3), Shown(a, "r3.g0.e5", 3), Shown(b, "r2.g0.e4", 2)])
    assert (bank.get(a).shown, bank.get(a).last_shown_round) == (2, 3)
    bank.close()
    bank = open_bank(tmp_path)
    assert [(e.shown, e.last_shown_round) for e in bank.entries()] == [(2, 3), (1, 2)]
    assert bank.verify() == []
    bank.close()


def test_the_table_shares_scopes_when_configured(tmp_path):
    bank = open_bank(tmp_path, scope="shared")
    assert bank.scope_of("maze") == bank.scope_of("room") == "shared"
    bank.close()


def test_a_second_writer_is_refused_and_a_reader_is_not(tmp_path):
    bank = open_bank(tmp_path)
    apply(bank, "c1", add("A"))
    with pytest.raises(BankError, match="another process has been writing"), writer_lock(tmp_path, timeout_s=0.05):
        pass
    reader = Ledger.read_only(tmp_path)
    assert [record.entry.text for record in reader.records()] == ["A"]
    reader.close()
    bank.close()


def test_another_embedder_or_schema_is_named(tmp_path):
    open_bank(tmp_path).close()
    other = WordEmbedder()
    other.name = "sentences"
    with pytest.raises(BankError, match=r"embedded by 'words'.*models\.embedder = 'sentences'"):
        open_bank(tmp_path, embedder=other)
    db = sqlite3.connect(tmp_path / FILE_NAME)
    db.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    db.commit()
    db.close()
    with pytest.raises(DataError, match="schema 99, this version reads 3"):
        open_bank(tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / FILE_NAME).write_text("not a database at all, but long enough to be looked at" * 40)
    with pytest.raises(DataError, match="not a bank ledger"):
        Ledger.read_only(tmp_path / "x")
    with pytest.raises(DataError, match="no such ledger"):
        Ledger.read_only(tmp_path / "y")


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        ("UPDATE entries SET text = 'tampered' WHERE id = :id", "its text or its origins"),
        ("UPDATE origins SET episode = 'r9.g9.e9' WHERE entry_id = :id", "its text or its origins"),
        ("INSERT INTO origins SELECT NULL, seq, entry_id, completion_id, episode, round, purpose, key_text, vector,"
         " parents FROM origins WHERE entry_id = :id", "its text or its origins"),
        ("DELETE FROM origins WHERE entry_id = :id", "it has no row"),
        ("DELETE FROM entries WHERE id = :id", "it has no row"),
        ("INSERT INTO states VALUES (NULL, 1, :id, 'gone', NULL)", "live by the events, gone by its row"),
        ("UPDATE states SET key = zeroblob(96) WHERE entry_id = :id", "its key is not the mean"),
        ("INSERT INTO joins VALUES (1, :id, 'nobody')", "joined another entry by the events than by its rows"),
        ("INSERT INTO shown VALUES (1, :id, 'nobody', 0, 1.0)", "index: Experience"),
    ],
)  # fmt: skip
def test_verify_finds_what_was_changed_behind_the_ledgers_back(tmp_path, tampering, told):
    bank = open_bank(tmp_path)
    _, changed, _ = apply(bank, "c1", add("A"), add("B"), add("C")).added
    db = sqlite3.connect(tmp_path / FILE_NAME)
    db.execute(tampering, {"id": changed})
    db.commit()
    db.close()
    found = bank.verify()
    assert {each.subject for each in found} == {changed}
    assert any(told in each.detail for each in found)
    bank.close()
