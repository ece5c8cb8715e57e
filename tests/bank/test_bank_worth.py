"""What is told of a run's bank: how many entries say the same, what is known, and how often known harm was shown."""

import pytest

from benchmarks.bank_worth import History, harmful_share, worth
from crl.bank.effect import Use
from crl.bank.records import Shown
from tests.bank.samples import add, apply, open_bank, show


def test_known_harm_counts_from_the_round_after_it_was_known(tmp_path):
    bank = open_bank(tmp_path)
    harmful, helpful = apply(bank, "c1", add("wait"), add("take the key")).added
    apply(bank, "c2", add("wait"), round=1)
    for round_ in range(4):
        bank.record_uses([Use(harmful, round_, g, 4, 0, 4, 3) for g in range(8)])
        bank.record_uses([Use(helpful, round_, g, 4, 4, 4, 3) for g in range(8, 16)])
        show(bank, Shown(harmful, f"r{round_}.g0.e4", round_, 0.5), Shown(helpful, f"r{round_}.g8.e4", round_, 0.5))
    bank.close()
    history = History.of(tmp_path)
    assert (len(history.live), history.per_text, history.rounds) == (2, 1.0, 4)
    assert harmful_share(history, rounds=4) == pytest.approx(3 / 8)  # in round 0 nothing was known
    assert harmful_share(history, rounds=1) == pytest.approx(1 / 2)
    assert worth(history.uses) == pytest.approx((0.25 - 0.75) / 2)
    assert history.posterior(3).effects[harmful].high < 0
