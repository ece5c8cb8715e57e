"""What experience is worth by its age, from ledgers made by hand."""

import math
from contextlib import closing
from operator import attrgetter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crl.bank.effect import Use
from crl.bank.ledger import Ledger
from crl.cli import bank as cli
from crl.cli import bank_age
from crl.study.age import AgeEffect, by_age, showings
from tests.bank.samples import add, apply, open_bank


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two texts of round 0, one of which is written again in round 6; both are shown in rounds 1 to 8."""
    folder = tmp_path_factory.mktemp("aged")
    with closing(open_bank(folder)) as bank:
        kept, again = apply(bank, "c0", add("go up"), add("take the key")).added
        for round_ in range(1, 9):
            old = round_ > 4
            uses = [Use(kept, round_, 0, 2, 0 if old else 2, 4, 2), Use(again, round_, 0, 1, 1, 4, 2)]
            bank.record_uses([*uses, Use(again, round_, 1, 4, 3, 4, 1)])
            if round_ == 6:
                apply(bank, "c6", add("take the key"), round=6)
    return folder


def rows(folder: Path, of: str, banks: int = 1, scope: str | None = None) -> dict[str, AgeEffect]:
    with closing(Ledger.read_only(folder)) as ledger:
        found = [showing for bank in range(banks) for showing in showings(ledger, bank, scope)]
    return {row.ages: row for row in by_age(found, attrgetter(of))}


def counts(found: dict[str, AgeEffect]) -> list[tuple[int, int]]:
    return [(row.groups, row.episodes) for row in found.values()]


def test_each_group_counts_once_at_each_age_by_all_its_episodes_that_were_shown_something_so_old(folder: Path) -> None:
    first = rows(folder, "since_first")
    assert list(first) == ["0-1", "2-4", "5-9", "10-19", "20 or more", "all"]
    assert counts(first) == [(2, 7), (6, 21), (8, 28), (0, 0), (0, 0), (16, 56)]
    for age in ("0-1", "2-4"):  # 3 of 3 less 2 of 4; 3 of 4 less 1 of 4
        assert first[age].effect == pytest.approx((0.5 + 0.5) / 2)
    assert first["5-9"].effect == pytest.approx((1 / 3 - 0.5 + 0.5) / 2)
    assert (first["5-9"].free, first["5-9"].round) == pytest.approx((0.375, 6.5))
    assert first["5-9"].low < first["5-9"].effect < first["5-9"].high
    assert math.isnan(first["20 or more"].effect)


def test_a_text_that_is_written_again_is_young_from_the_next_round_on(folder: Path) -> None:
    last = rows(folder, "since_last")
    assert counts(last)[:3] == [(2 + 2, 7 + 5), (6 + 2, 21 + 5), (4 + 2, 14 + 4)]
    # Rounds 7 and 8 are of age 1 and 2 for the text of round 6, of 7 and 8 for the other one.
    assert last["0-1"].effect == pytest.approx((0.5 + 0.5 + 0.5 + 0.5) / 4)
    assert last["5-9"].effect == pytest.approx((2 * (1 / 3 - 0.5) + 2 * 0.5 + 2 * (0 - 0.5)) / 6)


def test_what_its_own_round_wrote_is_of_age_0_and_scopes_and_banks_are_told_apart(tmp_path: Path) -> None:
    with closing(open_bank(tmp_path)) as bank:
        (fresh,) = apply(bank, "c0", add("go up"), round=3).added
        bank.record_uses([Use(fresh, 3, 0, 1, 1, 1, 0)])
    assert rows(tmp_path, "since_last", banks=2)["0-1"].groups == 2
    assert rows(tmp_path, "since_last", scope="another task")["all"].groups == 0


def test_the_command_tells_both_ages_of_all_folders_and_that_age_is_no_experiment(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(bank_age, "console", bank_age.Console(width=200))
    done = CliRunner().invoke(cli.app, ["age", str(folder), str(folder)], catch_exceptions=False)
    assert done.output.index("since last written") < done.output.index("since first written")
    assert "+0.50 [" in done.output
    assert " 112 " in done.output
    assert "Age is not randomised" in done.output
