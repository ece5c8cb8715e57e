"""What is known to do harm goes into quarantine, with its figures; what is only unlucky stays. Beliefs outlive the process."""

import numpy as np

from crl.bank.effect import Use
from crl.bank.records import Kind
from crl.bank.snapshot import FILE_NAME, read_records
from crl.bank.snapshot_reader import SnapshotReader
from crl.config.bank import EffectConfig, RetireConfig
from tests.bank.samples import add, apply, merge, open_bank, texts


def judged(folder, **options):
    """Three entries: harmful in eight groups, harmful in two, helpful in eight."""
    bank = open_bank(folder, **options)
    harmful, unlucky, helpful = apply(bank, "c1", add("wait here"), add("go back"), add("take the key")).added
    bank.record_uses([Use(harmful, 0, g, 4, 0, 4, 3) for g in range(8)])
    bank.record_uses([Use(unlucky, 0, 10 + g, 4, 0, 4, 3) for g in range(2)])
    bank.record_uses([Use(helpful, 0, 20 + g, 4, 4, 4, 2) for g in range(8)])
    return bank, harmful, unlucky, helpful


def test_proven_harm_is_quarantined_with_the_figures_and_comes_back_when_released(tmp_path):
    bank, harmful, _, _ = judged(tmp_path, retire=RetireConfig(certainty=0.95, groups=6))
    effect = bank.effect(harmful)
    assert bank.retire(round=0) == (harmful,)
    assert texts(bank) == ["go back", "take the key"]
    event = next(bank.ledger.events(newest_first=True))
    assert (event.kind, event.removed) == (Kind.QUARANTINE, (harmful,))
    assert str(effect) in event.detail
    assert "8 groups" in event.detail
    assert bank.retire(round=0) == ()
    assert bank.release(harmful, "the actor has changed", round=1)
    assert bank.effect(harmful) == effect
    assert bank.verify() == []
    bank.close()


def test_what_is_known_to_help_is_told_from_what_was_lucky(tmp_path):
    bank, _, _, helpful = judged(tmp_path)
    lucky = apply(bank, "c2", add("look at the wall")).added[0]
    bank.record_uses([Use(lucky, 0, 40, 4, 4, 4, 2)])
    assert set(bank.memory.helpful(0.95)) == {helpful}
    assert bank.memory.helpful(None) == {}
    bank.close()


def test_without_certainty_everything_stays(tmp_path):
    bank, *_ = judged(tmp_path)
    assert bank.retire(round=0) == ()
    assert len(bank) == 3
    bank.close()


def test_beliefs_are_the_same_in_the_run_after_a_restart_and_in_a_snapshot(tmp_path):
    forgetting = EffectConfig(half_life_rounds=5, pooling="cluster")
    bank, *ids = judged(tmp_path / "bank", effect=forgetting)
    beliefs = [bank.belief(id_) for id_ in ids]
    known = read_records(_snapshot(bank, tmp_path))[1]
    assert [known.belief(id_) for id_ in ids] == beliefs
    assert [known.effect(id_) for id_ in ids] == [bank.effect(id_) for id_ in ids]
    reader = SnapshotReader(tmp_path / FILE_NAME, "words")
    assert [reader.belief(id_) for id_ in ids] == beliefs
    assert reader.belief("since then").sd > beliefs[0].sd
    bank.close()
    bank = open_bank(tmp_path / "bank", effect=forgetting)
    assert [bank.belief(id_) for id_ in ids] == beliefs
    bank.close()


def test_a_new_text_is_expected_to_be_like_those_that_say_nearly_the_same_also_after_a_restart(tmp_path):
    bank, harmful, _, helpful = judged(tmp_path)
    like_help, other = apply(bank, "c2", add("take the key key"), add("water and stones everywhere")).added
    assert bank.belief(like_help).mean > bank.belief(other).mean
    bank.close()
    bank = open_bank(tmp_path)
    like_harm = apply(bank, "c3", add("wait here here")).added[0]
    assert bank.belief(like_harm).mean < bank.belief(other).mean < bank.belief(like_help).mean
    clusters = {subject.id: subject.cluster for subject in bank.ledger.subjects()}
    assert (clusters[like_help], clusters[like_harm]) == (clusters[helpful], clusters[harmful])
    assert len(set(clusters.values())) == 4
    bank.close()


def _snapshot(bank, folder):
    bank.snapshot(folder)
    return folder / FILE_NAME


def test_a_merged_text_starts_where_its_parents_are(tmp_path):
    bank, harmful, _, helpful = judged(tmp_path)
    report = merge(bank, "m1", (harmful, helpful), "both of them", round=1)
    bank.record_uses([Use(helpful, 1, 0, 4, 4, 4, 2)])
    merged = bank.belief(report.added[0])
    assert bank.belief(harmful).mean < merged.mean < bank.belief(helpful).mean
    assert merged.sd > np.mean([bank.belief(harmful).sd, bank.belief(helpful).sd])
    bank.close()
