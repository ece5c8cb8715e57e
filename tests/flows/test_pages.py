"""What people see: the round's artifact, the closing screen, the tracked figures."""

import io
import json
from dataclasses import asdict

import pytest
from rich.console import Console

from crl.evaluation.statistics import EpisodeRow, summarise
from crl.files import write_json
from crl.round.report import EffectRow, RoundReport
from flows import screen
from flows.local import prefect_server
from flows.prefect.artifacts import effect_rows, round_markdown, safe
from flows.stage import outs, paths


def report(**metrics: float) -> RoundReport:
    hostile = EffectRow("id", "maze", "<script>x</script> | [a](http://b)\n# big", 0.5, -0.25, 1.0, 1, 4)
    return RoundReport(2, metrics, "It learned.", (hostile,), ())


def test_a_round_says_what_was_learned_what_it_cost_and_what_helped():
    text = round_markdown(
        report(**{"rollout/success_free": 0.5, "time/generate_s": 1.25, "env/steps": 100.0}), 24, "abc"
    )
    assert "# Round 3 of 24" in text
    assert "| rollout/success_free | 0.500 |" in text
    assert "| time/generate_s | 1.250 |" in text
    assert "-0.25 to +1.00" in text
    assert "None was measured yet." in text  # nothing hurt


def test_experience_texts_cannot_write_markup_into_the_pages():
    assert safe("<b>|`x`\n[a](b) *c* _d_") == "&lt;b&gt;\\|'x' \\[a\\](b) \\*c\\* \\_d\\_"
    assert len(safe("x" * 1000)) == 160
    assert "<script>" not in round_markdown(report(), 24, "abc") + json.dumps(effect_rows(report()))


@pytest.mark.parametrize(
    ("metric", "timing"),
    [
        ("time/generate_s", True),
        ("sync/actor_s", True),
        ("env/steps", False),
        ("bank/size", False),
    ],
)
def test_what_the_clock_decides_is_kept_out_of_the_tracked_files(metric, timing):
    assert outs.is_timing(metric) is timing


def test_the_tracked_table_is_the_same_whatever_the_clock_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    snapshots = tmp_path / "snapshots"
    snapshots.mkdir()
    outs.publish([report(**{"env/steps": 3.0, "time/generate_s": 1.0})], snapshots, "abc")
    first = paths.ROUNDS.read_bytes()
    outs.publish([report(**{"env/steps": 3.0, "time/generate_s": 2.0})], snapshots, "abc")
    assert paths.ROUNDS.read_bytes() == first
    assert "2.0" in paths.timings_of("abc").read_text()


def test_the_closing_screen_tells_before_after_and_where_to_look(checkout, monkeypatch):
    monkeypatch.setattr(prefect_server, "pages", lambda: "")  # no server is configured
    rows = [
        EpisodeRow("maze", f"maze/eval/{level}", arm, phase, phase == "after" or level < 2, 10)
        for level in range(20)
        for arm in ("free", "guided")
        for phase in ("before", "after")
    ]
    write_json(paths.metrics_of("evaluate"), summarise(rows, samples=200, confidence=0.95, seed=1).as_json())
    row = EffectRow("id", "maze", "take [bold]the key[/]", 0.4, 0.29, 0.51, 90, 200)
    write_json(paths.EFFECTS, [asdict(row)])
    console = Console(width=110, record=True, file=io.StringIO())
    screen.show(console)
    text = console.export_text()
    assert "10% [" in text
    assert "100% [" in text
    assert "+90% [" in text
    assert 'maze: "take [bold]the key[/]" adds 40 points (+29 to +51, in 90 groups).' in text
    assert "*" in text.split("+90%")[1][:20]  # the interval excludes 0
    for expected in ("reports/report.html", "make prefect", "make mlflow", "crl bank ls", "It learned"):
        assert expected in text
