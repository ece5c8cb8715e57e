"""A run is shared through a folder or through S3: another clone fetches it and computes nothing. Commands: docs/remote.md.

The stages are those of dvc.yaml, played small; S3 is moto's server, a process of its own that speaks the real API over HTTP.
"""

import sys
from pathlib import Path

import httpx
import pytest
import yaml

from flows.local.process import Launch, on_free_port, spawn
from tests.flows.small_pipeline import ROOT, STAGES, Checkout

REMOTES = ("folder", "s3")


@pytest.fixture(scope="module")
def s3(tmp_path_factory) -> str:
    """The address of an S3 with the bucket `crl`."""
    command, logs = str(Path(sys.executable).parent / "moto_server"), tmp_path_factory.mktemp("s3")
    server = on_free_port(
        lambda port: spawn("s3", Launch([command, "-p", str(port)]), folder=logs, port=port, health="/moto-api/")
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        httpx.put(f"{server.url}/crl", timeout=120, trust_env=False).raise_for_status()
        yield server.url
    server.kill()


@pytest.fixture(scope="module")
def first(tmp_path_factory, s3) -> Checkout:
    """The checkout that played the pipeline and pushed it to both remotes."""
    checkout = Checkout.make(tmp_path_factory.mktemp("first"))
    checkout.dvc("remote", "add", "-q", "-d", "folder", str(tmp_path_factory.mktemp("remote")))
    checkout.dvc("remote", "add", "-q", "s3", "s3://crl/store")
    checkout.dvc("remote", "modify", "-q", "s3", "endpointurl", s3)
    assert checkout.reproduce(seed=1, levels=10, mix=("room", "maze")) == ["prepare", *STAGES]
    checkout.commit()
    for remote in REMOTES:
        checkout.dvc("push", "-q", "--run-cache", "-r", remote)
    return checkout


@pytest.mark.parametrize("remote", REMOTES)
def test_a_second_clone_pulls_everything_and_runs_no_stage(first, tmp_path, remote):
    second = first.clone(tmp_path / "second")
    second.dvc("pull", "-q", "--run-cache", "-r", remote)
    assert second.missing() == []
    (second.folder / "dvc.lock").unlink()  # what gave what is in the run cache, too
    second.dvc("repro", "-q")
    assert second.ran() == []
    assert second.locked() == first.locked()


def test_ci_checks_without_any_data_that_all_was_computed_from_what_is_committed(first, tmp_path):
    ci = first.clone(tmp_path / "ci")
    ci.dvc("repro", "-q", "--pull", "--allow-missing")
    assert ci.ran() == []
    assert not (ci.folder / "data").exists()


def test_ci_computes_what_a_change_touches_and_never_from_a_part_of_the_task_sets(first, tmp_path):
    ci = first.clone(tmp_path / "ci")
    values = yaml.safe_load((ci.folder / "params.yaml").read_text())
    values["tasks"]["mix"]["room"]["max_steps"] += 1
    (ci.folder / "params.yaml").write_text(yaml.safe_dump(values))
    refused = ci.ask(sys.executable, "-m", "dvc", "repro", "-q", "--pull", "--allow-missing")
    assert refused.returncode
    assert "no task set of maze, which tasks.mix names. Remedy: dvc pull prepare" in refused.stderr
    assert ci.ran() == ["prepare"]
    ci.dvc("pull", "-q", "prepare@maze")
    ci.dvc("repro", "-q", "--pull", "--allow-missing")
    assert ci.ran() == STAGES  # room's prepare, and all that follows; maze's was fetched
    assert {path.name for path in (ci.folder / "data/tasks").iterdir()} == {"room", "maze"}


def test_an_experiment_is_pushed_and_another_clone_applies_it_and_runs_no_stage(first, tmp_path):
    author = first.clone(tmp_path / "author")
    author.dvc("pull", "-q")
    author.dvc("exp", "run", "-q", "--temp", "-n", "other", "-S", "profile=other")
    author.dvc("exp", "push", "-q", "origin", "other")
    other = first.clone(tmp_path / "other")
    other.dvc("exp", "pull", "-q", "origin", "other")
    other.dvc("exp", "apply", "-q", "other")
    assert yaml.safe_load((other.folder / "params.yaml").read_text())["profile"] == "other"
    other.dvc("repro", "-q")
    assert other.ran() == []
    assert other.missing() == []


def test_the_artifacts_of_a_tagged_run_are_fetched_by_name_without_a_checkout(first, tmp_path, monkeypatch):
    published = first.clone(tmp_path / "published")
    published.dvc("remote", "default", "-q", "s3")
    published.commit()
    away = Checkout(tmp_path)
    for name, artifact in yaml.safe_load((ROOT / "dvc.yaml").read_text())["artifacts"].items():
        published.run("git", "tag", "-a", f"{name}@v1.0.0", "-m", "as `gto register` makes it")
        away.dvc("artifacts", "get", "-q", str(published.folder), name, "--rev", "v1.0.0", "-o", name)
        made = first.folder / artifact["path"] / "train.parquet"
        assert (tmp_path / name / "train.parquet").read_bytes() == made.read_bytes()
