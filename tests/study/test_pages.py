"""The committed pages of studies say what the committed raw results give."""

import re
from pathlib import Path

import pytest

from crl.study.comparison import compare, findings
from crl.study.definition import load_study
from crl.study.results import read
from crl.study.tables import tables

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("study_*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_aims_and_tables_of_a_page_are_those_of_its_raw_results(page: Path) -> None:
    text = page.read_text()
    study = load_study(page.stem.removeprefix("study_"), ROOT / "conf")
    table = read(ROOT / re.search(r"from `(studies/\w+\.parquet)`", text)[1])
    assert [f"- {finding.text()}" for finding in findings(study, table)] == re.findall(
        r"^- .* seeds \(aim: .*$", text, re.M
    )
    for rows in tables(compare(study, table)):
        assert rows.markdown() in text
