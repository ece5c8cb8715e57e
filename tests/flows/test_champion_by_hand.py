"""What people do to champions in MLflow's pages counts: it is told in a sentence, recorded in the line, and stops no command."""

import re

import mlflow
import pytest

from flows.registry import promotion
from flows.registry.champion import LINE_TAG, Champions
from flows.registry.line import Found, mended
from flows.tracking.recording import recorded, tracking_uri
from tests.flows.agents import commit_round, fake_run

MODEL = "crl-agent"
ALL = frozenset(range(1, 7))


@pytest.mark.parametrize(
    ("line", "champion", "former", "gone", "after", "told"),
    [
        ((1, 2, 3), 3, 2, (), (1, 2, 3), ""),
        ((), None, None, (), (), ""),
        ((), 4, None, (), (4,), "moved to version 4 by hand: recorded as a promotion"),
        ((1, 2), 5, 1, (), (1, 2, 5), "from version 2 to version 5 by hand: recorded as a promotion"),
        ((1, 2, 3), 2, 2, (), (1, 2), "from version 3 back to version 2 by hand: recorded as a rollback"),
        ((1, 2, 3), 1, 2, (), (1,), "from version 3 back to version 1 by hand: recorded as a rollback"),
        ((1, 2), None, 1, (), (), r"removed by hand: none serves \(the line was 1 2\)\. Remedy.*promote 2"),
        ((1, 2, 3), 3, 5, (), (1, 2, 5, 3), "moved to version 5 by hand: a rollback goes back to it"),
        ((1, 2, 3), 3, 3, (), (1, 2, 3), "it follows the line, and is at version 2 again"),
        ((1, 2, 3), 3, None, (), (1, 2, 3), "removed by hand: it follows the line, and is at version 2 again"),
        ((1, 2, 3), None, 2, (3,), (1, 2), r"^Version 3, the champion, was deleted in MLflow: version 2 takes its place\.$"),
        ((1, 2, 3), 3, None, (2,), (1, 3), r"^Version 2, a former champion, was deleted in MLflow: it has left the line\.$"),
        ((1, 2, 1), 1, None, (2,), (1,), "Version 2, a former champion, was deleted"),
        ((2,), None, None, (2,), (), "none is left, the next evaluation is compared with the base actor"),
        ((1, 2), 4, 1, (2,), (1, 4), "moved from version 2 to version 4(.|\n)*Version 2, a former champion, was deleted"),
    ],
)  # fmt: skip
def test_a_persons_word_counts_and_is_told(line, champion, former, gone, after, told):

    result = mended(Found(line, True, champion, former, ALL - set(gone)))
    assert result.line == after
    assert re.search(told or "^$", "\n".join(result.told)), result.told


def test_after_a_kill_the_aliases_follow_the_line_as_before():
    result = mended(Found((1, 2), False, 1, None, ALL))
    assert (result.line, result.chosen, result.taken_back) == ((1, 2), None, ())
    assert (
        "cut off before its aliases followed: the alias of the champion was at version 1, it is at version 2"
        in result.told[0]
    )
    assert mended(Found((1, 2), False, 2, 1, ALL)).told == ()  # of an earlier release, which noted nothing


@pytest.fixture
def pages(checkout, quick) -> mlflow.MlflowClient:
    """MLflow with five versions, as its pages act on it; the champions were 1, 2 and 3."""
    with recorded(quick, "prepare") as (record, _):
        run = fake_run(quick, checkout / "state")
        for round_ in range(5):
            promotion.agents.candidate(record, run, commit_round(run, round_))
    champions = Champions(tracking_uri())
    for version in (1, 2, 3):
        champions.promote(version, over=version - 1 or None)
    return mlflow.MlflowClient(tracking_uri())


def where(pages: mlflow.MlflowClient) -> tuple[str, dict[str, int]]:
    """The line, and where the champion's aliases are."""
    model = pages.get_registered_model(MODEL)
    return model.tags[LINE_TAG], {name: int(at) for name, at in model.aliases.items() if name != "candidate"}


def test_a_deleted_champion_stops_no_command_and_the_former_one_takes_its_place(pages, capfd):
    pages.delete_model_version(MODEL, "3")
    assert promotion.main(["status"]) == 0
    assert "Version 3, the champion, was deleted in MLflow: version 2 takes its place." in capfd.readouterr().err
    assert where(pages) == ("1 2", {"champion": 2, "former": 1})
    pages.delete_model_version(MODEL, "1")
    assert promotion.main(["rollback"]) == 2  # nothing to go back to, and it says so
    assert "there is no former champion" in " ".join(capfd.readouterr().err.split())
    pages.delete_model_version(MODEL, "2")
    assert Champions(tracking_uri()).champion() is None  # what an evaluation asks
    assert where(pages) == ("-", {})
    assert promotion.main(["promote", "4"]) == 0
    assert where(pages) == ("4", {"champion": 4})


def test_an_alias_that_a_person_moved_stays_where_it_is_and_is_told_once(pages, capfd):
    pages.set_registered_model_alias(MODEL, "champion", "5")
    assert promotion.main(["status"]) == 0
    assert "from version 3 to version 5 by hand: recorded as a promotion" in capfd.readouterr().err
    assert where(pages) == ("1 2 3 5", {"champion": 5, "former": 3})
    assert pages.get_model_version(MODEL, "5").tags["crl.decision"] == "promoted"
    assert promotion.main(["status"]) == 0
    assert "by hand" not in capfd.readouterr().err.lower()
    pages.set_registered_model_alias(MODEL, "champion", "2")
    assert int(Champions(tracking_uri()).champion().version) == 2
    assert where(pages) == ("1 2", {"champion": 2, "former": 1})
    assert {pages.get_model_version(MODEL, taken).tags["crl.decision"] for taken in "35"} == {"rolled back"}


def test_a_line_that_was_spoilt_by_hand_is_refused_with_the_remedy(pages, capfd):
    pages.set_registered_model_tag(MODEL, LINE_TAG, "one, two")
    assert promotion.main(["status"]) == 2
    assert "not a line of versions. Remedy: in MLflow's pages" in " ".join(capfd.readouterr().err.split())
