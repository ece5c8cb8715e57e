"""One text of one scope is one entry: written again, it keeps what is known of it, and leads to everybody who wrote it."""

import numpy as np
import pytest

from crl.bank.changes import entry_id
from crl.bank.effect import Use
from crl.bank.records import Kind, Shown, State
from tests.bank.samples import WordEmbedder, add, apply, merge, open_bank, show, texts, update


@pytest.fixture
def bank(tmp_path):
    bank = open_bank(tmp_path / "bank", capacity=3)
    yield bank
    assert bank.verify() == []
    bank.close()


def key_of(bank, id_):
    return next(bank.ledger.records(live_only=False, ids=[id_])).vector


def kinds(bank):
    return [event.kind for event in bank.ledger.events()]


def test_a_text_that_is_written_again_is_the_same_entry_with_one_origin_more(bank):
    first = apply(bank, "c1", add("go up"), round=0)
    again = apply(bank, "c2", add("go up"), round=3)
    assert (again.added, again.repeated, first.repeated) == (first.added, first.added, ())
    [entry] = bank.entries()
    assert (entry.origin.completion_id, entry.written) == ("c1", 2)
    origins = bank.origins(entry.id)
    assert [(each.completion_id, each.episode, each.round) for each in origins] == [
        ("c1", "r0.g0.e4", 0),
        ("c2", "r3.g0.e4", 3),
    ]
    assert kinds(bank) == [Kind.ADD, Kind.REPEAT]
    assert (bank.metrics()["bank/add"], bank.completion("c2").id) == (1, "c2")


def test_the_same_text_of_another_scope_is_another_entry(bank):
    apply(bank, "c1", add("go up"))
    apply(bank, "c2", add("go up"), scope="room")
    assert [entry.written for entry in bank.entries()] == [1, 1]


def test_a_completion_that_says_a_thing_twice_writes_it_twice(bank):
    report = apply(bank, "c1", add("go up"), add("take the key"), add("go up"))
    assert report.repeated == (report.added[0],)
    assert (texts(bank), bank.entries()[1].written) == (["take the key", "go up"], 2)


def test_its_key_is_the_mean_of_its_situations_and_among_equals_what_was_written_last_is_found_first(bank):
    old = apply(bank, "c1", add("go up"), key_text="a dark room").added[0]
    apply(bank, "c2", add("take the key"), key_text="a dark room")
    situations = WordEmbedder().embed(["a dark room", "a dark room", "water"]).astype(np.float64)
    assert [hit.entry.text for hit in bank.search({"maze": situations[:1]}, 2)["maze"][0]] == ["take the key", "go up"]
    apply(bank, "c3", add("go up"), key_text="a dark room")
    assert [hit.entry.text for hit in bank.search({"maze": situations[:1]}, 2)["maze"][0]] == ["go up", "take the key"]
    apply(bank, "c4", add("go up"), key_text="water")
    expected = situations.sum(0) / np.linalg.norm(situations.sum(0))
    assert bank.search({"maze": expected[None]}, 1)["maze"][0][0].score == pytest.approx(1.0, abs=1e-6)
    assert (bank.get(old).key_text, bank.get(old).written) == ("water", 3)


def test_an_evicted_text_that_is_written_again_comes_back_with_all_that_is_known_of_it(bank):
    old = apply(bank, "c1", add("go up"), round=0).added[0]
    show(bank, Shown(old, "r1.g0.e4", 1, 0.25))
    bank.record_uses([Use(old, 1, group, 4, 4, 4, 1) for group in range(3)])
    effect = bank.effect(old)
    apply(bank, "c2", add("one"), add("two"), add("three"), round=1)
    assert bank.get(old) is None
    bank.truncate_to(bank.position)  # nothing is left of it in memory
    report = apply(bank, "c3", add("go up"), round=2)
    assert (report.added, report.repeated, kinds(bank)[-2:]) == ((old,), (), [Kind.ADD, Kind.EVICT])
    back = bank.get(old)
    assert (back.shown, back.last_shown_round, back.written, back.origin.completion_id) == (1, 1, 2, "c1")
    assert bank.effect(old) == effect
    assert texts(bank) == ["two", "three", "go up"]


def test_a_quarantined_text_that_is_written_again_stays_there_until_it_is_released(bank):
    bad, other = apply(bank, "c1", add("wait"), add("go up"), round=0).added
    assert bank.quarantine(bad, "it harms", round=1)
    report = apply(bank, "c2", add("wait"), round=2)
    assert (report.added, report.repeated, texts(bank)) == ((bad,), (bad,), ["go up"])
    replacing = apply(bank, "c3", update("wait", other), round=2)
    assert (replacing.replaced, replacing.vanished, texts(bank)) == ((), 1, ["go up"])
    assert merge(bank, "m1", (other,), "wait", round=2).conflict
    assert not bank.release(other, "it is not there", round=3)
    assert bank.release(bad, "looked at", round=3)
    assert (texts(bank), bank.get(bad).written, bank.ledger.state(bad)) == (["go up", "wait"], 3, State.LIVE)
    assert not bank.release(bad, "again", round=3)


def test_a_release_into_a_full_table_makes_room(bank):
    bad = apply(bank, "c1", add("wait")).added[0]
    bank.quarantine(bad, "it harms", round=1)
    apply(bank, "c2", add("one"), add("two"), add("three"))
    bank.release(bad, "looked at", round=2)
    assert texts(bank) == ["two", "three", "wait"]


def test_an_update_to_a_text_that_is_there_replaces_its_target_and_adds_an_origin(bank):
    better, worse = apply(bank, "c1", add("go up"), add("go down")).added
    report = apply(bank, "c2", update("go up", worse, better), round=1)
    assert (report.replaced, report.vanished, texts(bank)) == ((worse,), 1, ["go up"])
    assert (bank.get(better).parents, bank.get(better).written) == ((worse,), 2)
    back = apply(bank, "c3", update("go down", better), round=2)
    assert (back.replaced, texts(bank), bank.get(worse).parents) == ((better,), ["go down"], (better,))


def test_an_operation_sees_what_the_ones_before_it_in_the_same_completion_did(bank):
    old = apply(bank, "c1", add("go up")).added[0]
    new = entry_id("run", "maze", "take the key")
    report = apply(bank, "c2", update("take the key", old), update("go up", new))
    assert (report.added, report.replaced, texts(bank)) == ((new, old), (old, new), ["go up"])
    assert bank.get(old).written == 2


def test_a_merge_whose_text_a_parent_has_keeps_that_parent(bank):
    a, b = apply(bank, "c1", add("A"), key_text="left").added[0], apply(bank, "c2", add("B"), key_text="right").added[0]
    report = merge(bank, "m1", (a, b), "A", round=4)
    assert (report.replaced, texts(bank), bank.get(a).parents) == ((b,), ["A"], (b,))
    assert [origin.purpose for origin in bank.origins(a)] == ["distil", "merge"]
    left, right = WordEmbedder().embed(["left", "right"]).astype(np.float64)
    mean = left + (left + right) / np.linalg.norm(left + right)
    assert np.dot(key_of(bank, a), mean / np.linalg.norm(mean)) == pytest.approx(1.0, abs=1e-6)


def test_opposite_situations_keep_the_last_one_as_the_key(tmp_path):
    class Opposites(WordEmbedder):
        def _one(self, text):
            return super()._one("north") * (-1 if text == "south" else 1)

    bank = open_bank(tmp_path, embedder=Opposites())
    id_ = apply(bank, "c1", add("go on"), key_text="north").added[0]
    apply(bank, "c2", add("go on"), key_text="south")
    assert np.array_equal(key_of(bank, id_), Opposites().embed(["south"])[0])
    assert bank.verify() == []
    bank.close()


def test_the_probability_of_a_choice_is_kept(bank):
    id_ = apply(bank, "c1", add("go up")).added[0]
    show(bank, Shown(id_, "r1.g0.e4", 1, 0.375), Shown(id_, "r1.g0.e5", 1))
    rows = bank.ledger._db.execute("SELECT key, probability FROM shown ORDER BY key").fetchall()
    assert [tuple(row) for row in rows] == [("r1.g0.e4", 0.375), ("r1.g0.e5", 1.0)]
