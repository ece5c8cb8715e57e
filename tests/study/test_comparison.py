"""From raw results to figures, aims, tables, plot and page; what does not belong together is refused."""

from pathlib import Path

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from crl.cli.main import app
from crl.config.compose import arms
from crl.errors import ConfigError, DataError
from crl.study import results
from crl.study.comparison import compare, findings
from crl.study.definition import load_study, studies
from tests.study.small import write_study
from tests.study.synthetic import STUDY
from tests.study.synthetic import results as raw

CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize("name", studies(CONF))
def test_every_study_that_is_shipped_is_valid_and_an_arm_with_a_file_is_what_the_file_says(name: str) -> None:
    study = load_study(name, CONF)
    assert study.runs[: len(study.arms)] == tuple((arm, study.seeds[0]) for arm in study.arms)
    assert all(f"+arm={arm}" in study.arms[arm] for arm in set(study.arms) & set(arms(CONF)))


def test_arms_that_could_not_be_compared_are_refused_before_any_is_played(tmp_path: Path) -> None:
    values = STUDY.model_dump(mode="json", exclude={"name"})
    write_study(tmp_path, values, "made_up")
    for changes, said in (
        (["retrieval.k=2"], r"arms\.late: the same parameters as arms\.better"),
        (["tasks.mix.room.max_steps=3"], r"another tasks\.mix\.room\.max_steps than arms\.plain.*weight 0"),
    ):
        values["arms"]["late"] = changes
        (tmp_path / "conf/study/made_up.yaml").write_text(yaml.safe_dump(values))
        with pytest.raises(ConfigError, match=said):
            load_study("made_up", tmp_path / "conf")
    values["arms"]["late"] = ["tasks.mix.room.weight=0"]
    (tmp_path / "conf/study/made_up.yaml").write_text(yaml.safe_dump(values))
    load_study("made_up", tmp_path / "conf")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reference": "nobody"}, "nobody is none of them"),
        ({"seeds": [1, 1]}, "stands there twice"),
        ({"aims": [{"arm": "better", "metric": "success"}]}, "aims"),
        ({"evry_rounds": 2}, "did you mean every_rounds"),
    ],
)
def test_a_study_that_cannot_be_meant_is_refused(change: dict, said: str, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    values = STUDY.model_dump(mode="json", exclude={"name"}) | change
    (tmp_path / "study/made_up.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match=said):
        load_study("made_up", tmp_path)
    with pytest.raises(ConfigError, match="not in"):
        load_study("another", tmp_path)


def test_the_budget_is_what_every_run_has_spent_and_figures_are_read_there() -> None:
    made = compare(STUDY, raw())
    assert made.budget == 2010  # seed 1 ends first
    assert made.runs["plain"][1]["end_without"] == pytest.approx(0.61)
    assert made.arms["plain"]["end_without"].seeds == 4
    assert made.against["better"]["end_with"].difference.value == pytest.approx(0.2, abs=0.02)
    assert made.against["better"]["end_with"].improvement.value == 1.0
    assert made.against["better"]["end_without"].difference.value == pytest.approx(0.0, abs=1e-9)


def test_tasks_count_by_their_levels_and_each_has_figures_of_its_own() -> None:
    table = raw()
    table.loc[(table["task"] == "room") & (table["rounds"] == 20), "successes"] = 0
    together, room = compare(STUDY, table), compare(STUDY, table, "room")
    assert room.runs["plain"][1]["end_without"] == 0
    assert together.runs["plain"][1]["end_without"] == pytest.approx(0.305)


def test_aims_are_supported_or_not_by_the_interval_and_arms_that_were_not_played_are_left_open() -> None:
    found = list(findings(STUDY, raw()))
    assert [finding.verdict for finding in found] == ["supported", "supported", "not supported"]
    assert "better minus plain" in found[0].text()
    assert {finding.verdict for finding in findings(STUDY, raw(seeds=(1,)))} == {"open"}


def test_only_seeds_that_both_arms_played_are_compared() -> None:
    table = raw()
    table = table[(table["arm"] == "plain") | (table["seed"] <= 2)]
    made = compare(STUDY, table)
    assert made.against["better"]["end_with"].difference.seeds == 2


def test_figures_of_two_panels_or_two_states_of_the_code_make_no_table(tmp_path: Path) -> None:
    for column in ("panel", "code"):
        table = raw()
        table.loc[table["seed"] == 3, column] = "another"
        results.write(table, tmp_path / "made_up.parquet")
        with pytest.raises(DataError, match=f"{column} = another"):
            results.read(tmp_path / "made_up.parquet")
    with pytest.raises(DataError, match=r"python -m flows\.study nothing"):
        results.read(tmp_path / "nothing.parquet")
    with pytest.raises(DataError, match="no run of plain has ended"):
        compare(STUDY, raw(arms=("better",)))


def test_the_digest_tells_panels_codes_and_seeds_apart_and_not_the_order_of_rows() -> None:
    assert results.digest(raw()) == results.digest(raw().iloc[::-1])
    others = [raw(seeds=(1, 2, 3)), raw().assign(panel="another"), raw().assign(code="another")]
    assert len({results.digest(table) for table in [raw(), *others]}) == 4


def test_the_command_prints_tables_and_aims_and_writes_the_page_with_its_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path, STUDY.model_dump(mode="json", exclude={"name"}), "made_up")
    results.write(raw(), Path("studies/made_up.parquet"))
    Path("docs").mkdir()
    command = ["compare", "made_up", "--page", "docs/study.md"]
    done = CliRunner().invoke(app, command, env={"COLUMNS": "400"}, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    digest = results.digest(raw())
    assert "supported: better minus plain" in done.output
    assert digest in done.output
    page = Path("docs/study.md").read_text()
    assert page.count(digest) >= 7  # beside every table
    assert "Not played: late." in page
    assert "(pictures/study_made_up.png)" in page
    with Image.open("docs/pictures/study_made_up.png") as picture:
        assert picture.width > 900
    drawn = Path("docs/pictures/study_made_up.png").read_bytes()
    CliRunner().invoke(app, command, catch_exceptions=False)
    assert Path("docs/study.md").read_text() == page
    assert Path("docs/pictures/study_made_up.png").read_bytes() == drawn
