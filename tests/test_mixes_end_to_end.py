"""The mixes as a user starts them, small: every family of the paper through the one pipeline, SWE in real containers."""

import json
from pathlib import Path

import pandas as pd
import pytest

from crl.config.compose import compose
from tests.end_to_end import CONF, checkout, make_run, stop_server
from tests.envs.swe_tasks import demand_engine
from tests.sandbox.containers import orphans

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # a whole run takes minutes beside other tests

TINY = [
    "tasks.train_levels=1000", "tasks.eval_levels=3", "models.actor.hidden_size=32", "models.actor.layers=1",
    "warm_start.actor_steps=40", "warm_start.extractor_steps=60", "rollout.live_episodes=24", "learn.extractor.batch=6",
    "learn.extractor.buffer=64", "rounds.count=2", "evaluate.bootstrap_samples=200", "envs.workers=1",
]  # fmt: skip
SIX = [
    *TINY, "rollout.groups=6", "warm_start.episodes_per_task=16", "tasks.mix.webshop.train_levels=40",
    "tasks.mix.webshop.eval_levels=3", "tasks.mix.alfworld.train_levels=6", "tasks.mix.alfworld.eval_levels=3",
    "tasks.mix.sokoban.train_levels=40", "tasks.mix.sokoban.eval_levels=3", "pass_rate.tasks=[webshop]",
    "pass_rate.attempts=4", "pass_rate.max_tasks=5", "filter.above=-1", "filter.at_most=1.0",
]  # fmt: skip
SWE = [
    *TINY, "warm_start.episodes_per_task=8", "tasks.mix.swe.train_levels=4", "tasks.mix.swe.eval_levels=2",
    "pass_rate.attempts=4", "filter.at_most=1.0", "rollout.groups=2", "rollout.group_size=4", "rollout.free_per_group=2",
    "rollout.live_episodes=4",
]  # fmt: skip
PLAYED = ("room", "webshop", "alfworld", "maze", "keyroom", "sokoban")


def run(folder: Path) -> str:
    try:
        done = make_run(folder)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout
    finally:
        stop_server(folder)


def check_report(folder: Path, names: tuple[str, ...], held_out: dict[str, int]) -> None:
    cells = json.loads((folder / "metrics/evaluate.json").read_text())
    for phase in ("before", "after"):
        for arm in ("free", "guided"):
            assert {name: cells[phase][arm][name]["episodes"] for name in names} == held_out
    rounds = pd.read_csv(folder / "plots/rounds.csv")
    report = (folder / "reports/report.md").read_text()
    for name in names:
        assert rounds[f"rollout/{name}_success_free"].notna().any(), name
        assert f"| {name} |" in report
    assert rounds["rollout/failed"].sum() == 0


def test_a_mix_of_six_tasks_trains_and_reports_each(tmp_path: Path) -> None:
    folder = checkout(tmp_path, "laptop_6task", SIX)
    run(folder)
    check_report(folder, PLAYED, dict.fromkeys(PLAYED, 3))
    assert (folder / "data/docs/index.html").is_file()
    tried = pd.read_parquet(folder / "data/pass_rate.parquet")  # by the base actor
    assert list(tried.n) == [4] * 5
    assert "played 4 times by the base actor" in (folder / "reports/report.md").read_text()


def test_the_mix_of_three_tasks_is_that_of_six_with_fewer_tasks() -> None:
    three, six = (compose(profile, [], CONF) for profile in ("laptop_3task", "laptop_6task"))
    assert three["tasks"]["mix"] == {name: six["tasks"]["mix"][name] for name in ("room", "webshop", "alfworld")}
    different = {"profile", "tasks", "models"}  # the vocabulary is larger with more tasks
    assert {name: three[name] for name in three if name not in different} == {
        name: six[name] for name in six if name not in different
    }


def test_swe_repair_trains_in_containers_on_tasks_that_were_filtered_by_pass_rate(tmp_path: Path) -> None:
    demand_engine()
    before = orphans()
    folder = checkout(tmp_path, "swe", SWE)
    run(folder)
    rates = pd.read_parquet(folder / "data/pass_rate.parquet")
    assert (rates.n == 4).all()
    kept = {row.task_id for row in rates.itertuples() if 0 < row.rate <= 1}
    assert set(pd.read_parquet(folder / "data/mix/swe/train.parquet").id) == kept
    check_report(folder, ("swe",), {"swe": 2})
    report = (folder / "reports/report.md").read_text()
    assert "a scripted policy of seeded, varied skill (not a model)" in report
    assert orphans() <= before
