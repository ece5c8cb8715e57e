"""The page: self-contained, safe with hostile texts, the same bytes for the same inputs, and tolerant of gaps."""

import re
import subprocess
import sys
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crl.episode.transcripts import Line, Transcript
from crl.evaluation.statistics import EpisodeRow, summarise
from crl.report import page
from crl.report.curves import rolling
from crl.report.inputs import RoundsTable
from crl.report.verdict import EXPERIENCES
from crl.round.report import EffectRow

HOSTILE = "</pre></details><script>alert(1)</script><img src=x onerror=alert(1)> {{ 7 * 7 }} $x^2$ | a\n# b\n```\n![p](https://evil.example)"
VOID = {"meta", "br", "img", "input", "hr", "link"}


class Seen(HTMLParser):
    """All tags and attributes of a page, and whether its tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.nested = True
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.nested &= bool(self.open) and self.open.pop() == tag


@pytest.fixture(scope="module")
def rendered(inputs) -> str:
    return page.render_html(inputs)


@pytest.fixture(scope="module")
def hostile(inputs):
    """Hostile text wherever text that a model or a level's author wrote can stand."""
    rows = [
        EpisodeRow(HOSTILE, str(i), arm, phase, i % 2 == 0, 5)
        for i in range(9)
        for arm in ("free", "guided")
        for phase in ("before", "after")
    ]
    episode = Transcript(
        HOSTILE, HOSTILE, HOSTILE, 3, HOSTILE, HOSTILE, (Line(HOSTILE, HOSTILE), Line("actor", HOSTILE)), HOSTILE
    )
    return replace(
        inputs,
        evaluation=summarise(rows, samples=100, confidence=0.95, seed=1),
        effects=(EffectRow(HOSTILE, HOSTILE, HOSTILE, 0.5, 0.1, 0.9, 3, 4),),
        transcripts=(episode,),
        run=replace(inputs.run, profile=HOSTILE, lineage=HOSTILE, machine=HOSTILE, commands=(HOSTILE,)),
    )


def test_the_page_makes_no_request_and_runs_no_script(rendered):
    seen = Seen(rendered)
    assert seen.nested
    assert not seen.open
    assert {"script", "link", "img", "iframe", "object", "form"}.isdisjoint(tag for tag, _ in seen.tags)
    for _, attributes in seen.tags:
        for name, value in attributes.items():
            assert name not in ("src", "srcset", "action")
            if name in ("href", "xlink:href"):
                assert value.startswith("#")
    assert not re.search(r"@import|url\((?!#)", rendered)
    assert (
        "meta",
        {"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"},
    ) in seen.tags


def test_hostile_texts_stay_text_in_the_page(hostile):
    text = page.render_html(hostile)
    seen = Seen(text)
    assert seen.nested
    assert {"script", "img"}.isdisjoint(tag for tag, _ in seen.tags)
    assert not any(name.startswith("on") for _, attributes in seen.tags for name in attributes)
    assert "&lt;script&gt;alert(1)" in text
    assert "{{ 7 * 7 }}" in text  # shown, not evaluated
    assert "49" not in re.sub(r"<svg.*?</svg>", "", text[text.index("Sample episodes") :], flags=re.DOTALL)


def test_hostile_texts_stay_text_in_markdown(hostile):
    text = page.render_markdown(hostile)
    fences = re.findall(r"^(`{3,})\w+\n.*?^\1$", text, flags=re.DOTALL | re.MULTILINE)
    outside = re.sub(r"^(`{3,})\w+\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert min(len(fence) for fence in fences) > 3
    assert "<script" not in outside
    assert "<img" not in outside
    assert "](https" not in outside
    assert "https://" not in outside


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_markdown_text_never_holds_a_sign_that_marks_up(raw):
    text = page.markdown_text(raw)
    assert not re.search(r"[`*_\[\]<>|~$@\\]|://|\n", text)


@given(st.text(alphabet="`a\n", max_size=40))
@settings(max_examples=200, deadline=None)
def test_a_fence_is_longer_than_any_run_of_backticks_inside(raw):
    first, *_, last = page.fenced(raw).split("\n")
    assert last == first.removesuffix("text")
    assert last not in raw


def test_lone_surrogates_from_json_do_not_break_writing(inputs, tmp_path):
    row = EffectRow("i", "t", "bad \ud800 text", 0.1, -0.4, 0.6, 1, 1)
    page.write_report(replace(inputs, effects=(row,)), tmp_path)
    assert "bad \ufffd text" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_same_inputs_give_the_same_bytes(inputs, rendered, tmp_path):
    page.write_report(inputs, tmp_path)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == rendered
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == page.render_markdown(inputs)


def test_ids_of_the_figures_do_not_clash(rendered):
    ids = re.findall(r'\bid="([^"]+)"', rendered)
    assert len(ids) == len(set(ids))
    for used in re.findall(r'(?:href="#|url\(#)([^")]+)', rendered):
        assert used in ids


def test_figures_use_the_themes_colours_only(rendered):
    figures = "".join(re.findall(r"<svg.*?</svg>", rendered, flags=re.DOTALL))
    assert "var(--guided)" in figures
    assert not re.search(r"(?:fill|stroke): ?#(?!000000)[0-9a-f]{6}", figures)


def test_both_pages_say_which_experiences_help_which_levels_were_played_and_where_the_seconds_are(inputs):
    run = replace(inputs.run, levels="3f9a7c20d4b1", times="runs/abc/times.html")
    row = EffectRow("i", "key", "take the key", 0.4, 0.3, 0.5, 40, 160)
    bare = replace(inputs, rounds=RoundsTable((), np.zeros((0, 0))), effects=(), transcripts=())
    known = replace(bare, run=run, effects=(row,))
    for render in (page.render_html, page.render_markdown):
        text = unescape(render(known))
        assert EXPERIENCES in text
        assert 'key: "take the key" adds 40 points (+30 to +50, in 40 groups).' in text
        assert "3f9a7c20d4b1" in text
        assert "runs/abc/times.html" in text
        assert EXPERIENCES not in render(bare)


def test_both_pages_show_the_verdict_the_figures_and_how_to_reproduce(inputs, rendered):
    cell = inputs.evaluation.cell("after", "guided", "maze")
    for text in (rendered, page.render_markdown(inputs)):
        assert "It learned: with experience" in text
        assert f"{100 * cell.success:.0f} %" in text
        assert "make lab" in text
        assert "9b1f03c2-51a7" in text


def test_a_run_that_measured_nothing_but_success_still_has_a_page(inputs):
    bare = replace(inputs, rounds=RoundsTable((), np.zeros((0, 0))), effects=(), transcripts=(), parameters=())
    for render in (page.render_html, page.render_markdown):
        text = render(bare)
        assert "Learning curves" not in text
        assert "Sample episodes" not in text
        assert "Where this comes from" in text


def test_one_round_and_gaps_are_drawn(inputs):
    one = RoundsTable(
        ("rollout/success_free", "rollout/success_guided", "time/generate_s"), np.array([[0.5, np.nan, 1.0]])
    )
    assert "Success in training" in page.render_html(replace(inputs, rounds=one))


def test_lines_that_meet_and_updates_that_are_rare_are_drawn(inputs):
    columns = ("actor/staleness_max", "extractor/staleness_max", "rollout/success_free", "rollout/success_guided")
    values = np.full((60, 4), np.nan)
    values[:, 0], values[0, 1] = 0.0, 0.0  # one extractor update, then none for longer than the window
    values[:30, 2], values[30:, 3] = 0.5, 0.5  # the arms never share a round
    text = page.render_html(replace(inputs, rounds=RoundsTable(columns, values)))
    assert "<h3>Staleness</h3>" in text
    assert "Utility of experience" not in text


def test_many_rounds_are_drawn(inputs):
    many = RoundsTable(inputs.rounds.columns, np.tile(inputs.rounds.values, (13, 1)))
    assert len(page.render_html(replace(inputs, rounds=many))) < 3_000_000


def test_rolling_means_look_back_only_and_skip_missing_rounds():
    series = np.array([np.nan, 1.0, 3.0, np.nan, 5.0])
    np.testing.assert_allclose(rolling(series, 2), [np.nan, 1.0, 2.0, 3.0, 5.0])


def test_entries_are_ranked_by_the_cautious_bound_and_none_twice():
    lucky = EffectRow("lucky", "t", "x", 0.3, -0.1, 0.7, 1, 1)
    sure = EffectRow("sure", "t", "x", 0.4, 0.3, 0.5, 40, 160)
    best, worst = page.best_and_worst((lucky, sure))
    assert [row.id for row in best] == ["sure", "lucky"]
    assert worst == []


def test_the_sample_holds_every_kind_of_episode():
    common = [Transcript(f"r{i}", "t", "guided", i, "success", None, (), "train") for i in range(100)]
    rare = Transcript("rare", "t", "free", -1, "death", None, (), "after")
    sample = page.chosen((*common, rare))
    assert len(sample) == page.MAX_TRANSCRIPTS
    assert rare in sample


def test_importing_the_library_does_not_import_the_reports_dependencies():
    code = "import crl, crl.evaluation.statistics, sys; sys.exit(any(m in sys.modules for m in ('matplotlib', 'jinja2', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
