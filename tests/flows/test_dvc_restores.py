"""DVC brings every stage back from its cache: earlier parameters cost seconds, no stage runs again (other clones: test_remotes)."""

import json
import os

import pytest
import yaml

from crl.round.state import StateFolder
from flows.stage import run_cache, stored
from tests.flows.small_pipeline import ROOT, STAGES, WRITER, Checkout, small


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Checkout:
    """A checkout that played two sets of parameters."""
    checkout = Checkout.make(tmp_path_factory.mktemp("first"))
    assert checkout.reproduce(seed=1, levels=10) == STAGES
    assert checkout.reproduce(seed=2, levels=20) == STAGES
    return checkout


def test_going_back_to_earlier_parameters_runs_no_stage_again(first):
    assert first.reproduce(seed=1, levels=10) == []
    assert first.missing() == []


def test_after_a_run_of_another_mix_the_first_one_computes_nothing_again_and_has_its_own_lock(first):
    first.reproduce(seed=1, levels=10)
    before = first.locked()
    assert "warm_start" in first.reproduce(seed=1, levels=10, mix=("room", "maze"))
    assert (first.folder / "data/tasks/maze").is_dir()
    assert first.reproduce(seed=1, levels=10) == ["entries"]  # it removed what was left over; all others were restored
    assert first.locked() == before
    assert [path.name for path in (first.folder / "data/tasks").iterdir()] == ["room"]


def test_metrics_show_the_few_figures_of_each_stage_and_no_table(first):
    shown = json.loads(first.dvc("metrics", "show", "--json"))
    stages = ("warm_start", "pass_rate", "co_evolve", "held_out")
    assert set(shown[""]["data"]) == {f"metrics/{name}.json" for name in stages}


def test_a_complete_run_may_begin_anew_only_when_dvc_holds_what_it_put_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkout, cache = Checkout(tmp_path), tmp_path / ".dvc/cache"
    stage = small(yaml.safe_load((ROOT / "dvc.yaml").read_text()))["stages"]["co_evolve"] | {"deps": ["writer.py"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"co_evolve": stage}}))
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "writer.py").write_text(WRITER)
    checkout.dvc("init", "-q", "--no-scm")
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "files").touch()  # no folder can be made there: it fails as on a full disk
    with pytest.raises(AssertionError):
        checkout.dvc("repro", "-q")
    state = StateFolder(tmp_path / "runs/co_evolve/abc", "abc")
    state.finish(stored.digests())
    stored.look()
    assert state.outs_to_store() == stored.digests()

    (cache / "files").unlink()
    checkout.dvc("repro", "-q")
    stored.look()
    assert state.outs_to_store() is None
    assert (tmp_path / "ran.log").read_text().split() == ["co_evolve"] * 2


def test_a_run_cache_that_a_kill_left_unfinished_stops_no_later_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkout = Checkout(tmp_path)
    stage = {"cmd": "echo ran >> ran.log && echo made > out", "deps": ["dep"], "outs": ["out"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"making": stage}}))
    (tmp_path / "dep").touch()
    checkout.dvc("init", "-q", "--no-scm")
    checkout.dvc("repro", "-q")
    (kept,) = (tmp_path / ".dvc/cache/runs").glob("*/*/*")
    for left in (None, ".half.tmp"):
        (tmp_path / "dvc.lock").unlink()
        for file in kept.parent.iterdir():
            file.unlink()
        if left:
            (kept.parent / left).write_text("cmd: ec")
            os.utime(kept.parent / left, (0, 0))
        run_cache.mend()
        assert kept.parent.exists()  # a DVC may be at work in it
        os.utime(kept.parent, (0, 0))
        run_cache.mend()
        assert not kept.parent.exists()
        checkout.dvc("repro", "-q")
    assert (tmp_path / "ran.log").read_text().split() == ["ran"] * 3
    run_cache.mend()
    assert kept.exists()
