"""Secrets reach no file, database, log or page: a real stage with a real Prefect and MLflow server is run and searched."""

import base64
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import mlflow
import pytest

from crl.config.addresses import SECRETS
from crl.config.compose import compose, dump
from flows.local.fleet import Fleet

VARIABLES = (
    *(f"CRL_{name}" for name in SECRETS),
    *("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD", "PREFECT_API_KEY", "HF_TOKEN", "WANDB_API_KEY"),
)
VALUES = {name: f"s3cret-of-{name.lower()}-x7" for name in VARIABLES}
IN_ADDRESS = "s3cret-in-an-address-x7"
NEEDLES = [*VALUES.values(), IN_ADDRESS]
NEEDLES += [
    base64.b64encode(f"alice:{value}".encode()).decode() for value in (IN_ADDRESS, VALUES["MLFLOW_TRACKING_PASSWORD"])
]


def leaks(folder: Path, outputs: Iterable[str] = ()) -> Iterator[str]:
    """Where a secret stands, in any file below the folder (databases are files, too) or in what was printed."""
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            yield from (f"{file}: {needle}" for needle in NEEDLES if needle.encode() in content)
    yield from (f"printed: {needle}" for text in outputs for needle in NEEDLES if needle in text)


@pytest.mark.slow
def test_a_stage_keeps_every_secret_to_itself(checkout, run_options, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    for name, value in VALUES.items():
        monkeypatch.setenv(name, value)
    (checkout / "params.yaml").write_text(dump(compose("quick", ["tasks.train_levels=8", "tasks.eval_levels=2"])))
    fleet = Fleet(["mlflow"])
    [tracker] = fleet.start()
    try:
        assert tracker.state == "runs", tracker.note
        options = run_options | {"check": False}
        options["env"] |= VALUES | {
            "MLFLOW_TRACKING_URI": tracker.running.url.replace("//", f"//alice:{IN_ADDRESS}@"),
            "MLFLOW_TRACKING_USERNAME": "alice",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "120",  # test machines stall; what is searched must have arrived
            "CRL_WEAVIATE_URL": "http://127.0.0.1:1",
            "CRL_ACTOR_URLS": "http://127.0.0.1:1",
        }
        stage = subprocess.run([sys.executable, "-m", "flows.prepare", "--entry", "room"], **options)
        assert stage.returncode == 0, stage.stdout + stage.stderr
        examined = subprocess.run([sys.executable, "-m", "crl.cli.main", "doctor", "--json"], **options)
        assert '"mlflow"' in examined.stdout, examined.stderr
        [run] = mlflow.MlflowClient(tracker.running.url).search_runs(["1"], "tags.`crl.stage` = 'prepare@room'")
        assert run.info.status == "FINISHED"  # the records did arrive in what is searched below
        assert any(b"prepare@room" in file.read_bytes() for file in (checkout / ".prefect").glob("prefect.db*"))
    finally:
        fleet.stop()
    assert list(leaks(checkout, (stage.stdout, stage.stderr, examined.stdout, examined.stderr))) == []


def test_the_search_finds_what_it_is_meant_to_find(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/log").write_bytes(b"\0" + NEEDLES[-1].encode() + b"\0")
    assert len(list(leaks(tmp_path, [f"key {NEEDLES[0]}"]))) == 2
