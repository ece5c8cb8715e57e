"""A gate lets good data pass, stops at bad data with all that is needed to mend them, and leaves pages that read offline."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from crl.config import Config
from crl.errors import CrlError, DataError
from crl.tasks.sets import write
from flows.gates import GateFailed, Rule, Suite, bank_snapshots, check, gates, pass_rates, rollouts, task_sets
from tests.flows import gated_data as good

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config() -> Config:
    """Two entries of one family, whose tasks must not be too easy."""
    return good.config({name: {"train_levels": 12, "min_difficulty": 2} for name in ("push", "shove")})


def words(*rules: Rule) -> Suite:
    return Suite("words", "word", {"word": "text", "length": "integer"}, rules, "write better words")


SHORT = Rule("ExpectColumnValuesToBeBetween", "no word is longer than 3", {"column": "length", "max_value": 3})

KNOWN = Rule("ExpectColumnValuesToBeInSet", "words are known", {"column": "word", "value_set": ["a"]})


def table(*texts: str) -> pd.DataFrame:
    return pd.DataFrame({"word": texts, "length": [len(text) for text in texts]})


def test_what_passed_is_told(config: Config, tmp_path) -> None:
    file = good.task_file(tmp_path, "train")
    result = check(file, task_sets.suite(config, "push", "train", tmp_path), docs=tmp_path / "docs")
    assert (result.name, result.rows) == (str(file), 12)
    assert result.rules > 15


def test_a_failure_says_what_is_wrong_where_and_what_to_do(tmp_path) -> None:
    file, docs = tmp_path / "words.parquet", tmp_path / "docs"
    table("a", *("b" * 4,) * 7, "ab").to_parquet(file)
    with pytest.raises(GateFailed) as failed:
        check(file, words(SHORT), docs=docs)
    first, broken, rows, data_docs, remedy = str(failed.value).splitlines()
    assert first == f"{file}: 1 of 1 rules of the gate words are broken"
    assert broken.startswith("  - no word is longer than 3: 7 of 9 rows, such as row 1 (bbbb): 4; row 2 (bbbb): 4;")
    assert broken.count("row ") == 5
    assert rows == f"Rows: counted from 0 in {file}"
    assert data_docs == f"Data docs: {failed.value.page} (all gates: {docs / 'index.html'})"
    assert remedy == "Remedy: write better words"
    assert failed.value.page.is_file()
    assert isinstance(failed.value, CrlError)
    assert failed.value.broken == (broken.removeprefix("  - "),)


def test_a_long_value_is_cut_in_the_message(tmp_path) -> None:
    with pytest.raises(GateFailed, match=r"… \(30,002 characters\)") as failed:
        check(table("x" * 30_000), words(KNOWN), docs=tmp_path)
    assert len(str(failed.value)) < 1_000


def test_a_frame_that_failed_is_kept_to_be_looked_at(tmp_path) -> None:
    frame = table("a", "abcd").assign(note="not of the suite")
    with pytest.raises(GateFailed) as failed:
        check(frame, words(SHORT), docs=tmp_path, name="round 3")
    kept = re.search(r"in (.*\.csv)$", str(failed.value), re.M)
    assert kept
    pd.testing.assert_frame_equal(pd.read_csv(kept[1]), frame, check_dtype=False)


def test_a_rule_that_cannot_be_evaluated_is_a_broken_one(tmp_path) -> None:
    lost = Rule("ExpectColumnValuesToBeUnique", "colours are unique", {"column": "colour"})
    with pytest.raises(GateFailed, match="colours are unique: could not be evaluated"):
        check(table("a"), words(lost), docs=tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"no table"])
def test_a_file_that_cannot_be_read_is_told(tmp_path, content: bytes | None) -> None:
    file = tmp_path / "train.parquet"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"train\.parquet.*Remedy:"):
        check(file, words(), docs=tmp_path / "docs")


def test_leakage_is_told_with_where_the_other_row_lies(config: Config, tmp_path) -> None:
    good.task_file(tmp_path, "eval", first=3)
    suite = task_sets.suite(config, "push", "train", tmp_path)
    with pytest.raises(GateFailed) as failed:
        check(good.task_file(tmp_path, "train"), suite, docs=tmp_path / "docs")
    assert "row 3 (push/train/3): 'row 0 of push/eval'" in str(failed.value)
    shared = ("no (level, seed, payload)", "no payload")
    assert sorted(broken.partition(" is also in")[0] for broken in failed.value.broken) == sorted(shared)


def test_a_round_as_a_table_keeps_losses_apart_from_zeros() -> None:
    frame = rollouts.frame_of(list(reversed(good.ends()))).set_index("episode")
    assert list(frame.index[:2]) == ["r3.g0.e0", "r3.g0.e1"]
    lost, played = frame.loc["r3.g0.e1"], frame.loc["r3.g3.e3"]
    assert (lost.failed, lost.success, lost.guided) == (True, False, False)
    assert lost[["reward", "env_steps", "turns", "tokens"]].isna().all()
    assert (played.failed, played.guided, played.reward, played.turns, played.tokens) == (False, True, -1.0, 2, 8)


# ---------------------------------------------------------------------- pages


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Two runs of gates one after the other, the last of which stops at its second data set."""
    docs = tmp_path_factory.mktemp("docs")
    with gates(docs) as first:
        first.check(table("a"), words(SHORT), name="old words")
        first.check(table("abcd" * 10_000)[:0], words(SHORT), name="no words")
    with gates(docs) as second:
        second.check(table("b"), words(SHORT), name="new/../words")
        second.check(table("b"), words(SHORT), name="t300")  # Great Expectations would take it for a date
        second.check(table("b"), words(SHORT), name="profiling")  # ... and draw no page of this
        with pytest.raises(GateFailed):
            second.check(table("<script>alert(1)</script><img src=x>"), words(KNOWN), name="<b>bad</b> words")
    return docs


def test_the_site_lists_all_gates_and_failures_come_first(site: Path) -> None:
    page = (site / "index.html").read_text()
    assert "1 of 6 data sets failed their gate" in page
    assert page.index("&lt;b&gt;bad&lt;/b&gt; words") < min(map(page.index, ("old words", "no words", "new/../words")))
    assert "words are known: 1 of 1 rows" in page
    for link in re.findall(r'href="([^"]+)"', page):
        assert (site / link).is_file()
    listed = json.loads((site / "gates.json").read_text())
    assert sorted(len(entry["broken"]) for entry in listed.values()) == [0, 0, 0, 0, 0, 1]


def test_the_pages_need_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) == 8  # the index, the suite, six data sets
    for page in pages:
        text = page.read_text()
        assert not re.search(r"<(script|link|img|iframe)\b", text), page
        assert "default-src 'none'" in text
        assert not [
            target for target in re.findall(r'(?:src|href)="([^"]+)"', text) if target.startswith(("http", "//"))
        ]
        for target in re.findall(r'href="([^"#]+)"', text):
            assert (page.parent / target).resolve().is_file(), (page, target)


def test_the_page_of_a_failure_shows_rule_and_values(site: Path) -> None:
    [page] = [page for page in site.rglob("*.html") if "bad" in str(page)]
    assert "words are known" in page.read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x&gt;" in page.read_text()


def test_a_second_check_replaces_the_first(tmp_path) -> None:
    with pytest.raises(GateFailed):
        check(table("abcd"), words(SHORT), docs=tmp_path, name="words")
    check(table("abc"), words(SHORT), docs=tmp_path, name="words")
    assert "All 1 data sets passed" in (tmp_path / "index.html").read_text()
    assert len(list((tmp_path / "validations").rglob("*.html"))) == 1
    assert not list(tmp_path.rglob("*.csv"))


def test_a_page_that_cannot_be_drawn_does_not_hide_the_failure(tmp_path, monkeypatch) -> None:
    import great_expectations as gx

    monkeypatch.setattr(gx.data_context.AbstractDataContext, "build_data_docs", lambda *_, **__: {})
    with pytest.raises(GateFailed) as failed:
        check(table("abcd"), words(SHORT), docs=tmp_path)
    assert json.loads(failed.value.page.read_text())["success"] is False


def test_nothing_is_written_when_nothing_is_checked(tmp_path) -> None:
    with gates(tmp_path / "docs"):
        pass
    assert not (tmp_path / "docs").exists()


# ---------------------------------------------------------------------- the run's own suites


def test_a_split_is_held_apart_from_every_entry_of_its_family(config: Config, tmp_path) -> None:
    train = good.task_file(tmp_path, "train")
    good.task_file(tmp_path, "eval", first=5_000)
    check(train, task_sets.suite(config, "push", "train", tmp_path), docs=tmp_path / "docs")
    (tmp_path / "shove").mkdir()
    shutil.copy(train, tmp_path / "shove/eval.parquet")
    with pytest.raises(GateFailed, match=r"12 of 12 rows, such as row 0 \(push/train/0\): 'row 0 of shove/eval'"):
        check(train, task_sets.suite(config, "push", "train", tmp_path), docs=tmp_path / "docs")


def test_more_tasks_than_asked_for_and_too_easy_ones_are_refused(config: Config, tmp_path) -> None:
    write(
        [*good.tasks("train", 13), replace(good.tasks("train")[0], id="easy", seed=99, payload="", difficulty=1.0)],
        tmp_path / "t",
    )
    with pytest.raises(GateFailed, match="has 1 to 12 rows: found 14") as failed:
        check(tmp_path / "t", task_sets.suite(config, "push", "train", tmp_path), docs=tmp_path / "docs")
    assert "difficulty is at least 2: 1 of 14 rows, such as row 13 (easy): 1.0" in failed.value.broken


def test_a_round_and_its_bank_and_the_pass_rates_pass_with_the_runs_parameters(config: Config, tmp_path) -> None:
    rates = good.pass_rate_table()
    with gates(tmp_path / "docs") as opened:
        opened.check(rollouts.frame_of(good.ends()), rollouts.suite(config), name="round 3")
        opened.check(good.snapshot(tmp_path), bank_snapshots.suite(config, 2))
        opened.check(rates, pass_rates.suite(config, list(rates.task_id)))
    assert "All 3 data sets passed" in (tmp_path / "docs/index.html").read_text()


def test_a_round_of_another_shape_is_refused(config: Config, tmp_path) -> None:
    with pytest.raises(GateFailed) as failed:
        check(rollouts.frame_of(good.ends()[:-1]), rollouts.suite(config), docs=tmp_path, name="round 3")
    assert [broken.partition(":")[0] for broken in failed.value.broken] == [
        "has 4 groups of 4 episodes", "every group has 4 episodes", "2 episodes of every group are guided",
    ]  # fmt: skip


def test_a_shared_bank_knows_one_scope(config: Config, tmp_path) -> None:
    shared = config.model_copy(update={"bank": config.bank.model_copy(update={"scope": "shared"})})
    with pytest.raises(GateFailed, match="every entry is of a known scope \\(shared\\): 8 of 8 rows"):
        check(good.snapshot(tmp_path), bank_snapshots.suite(shared, 2), docs=tmp_path / "docs")


# ---------------------------------------------------------------------- cost


def test_great_expectations_is_loaded_by_the_first_check_only(tmp_path) -> None:
    script = """
import sys
from pathlib import Path
import flows.gates
from crl.config import load
from flows.gates import rollouts, task_sets
config = load(sys.argv[1])
suites = rollouts.suite(config), task_sets.suite(config, next(iter(config.tasks.mix)), "train", Path("data"))
with flows.gates.gates(Path("docs")): pass
print(sorted({"great_expectations", "prefect", "mlflow", "scipy", "torch"} & set(sys.modules)))
"""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT / "params.yaml")], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
