"""Takes the README's screenshots from the checkout's last run, with Debian's headless Chromium.

    python docs/pictures/screenshots.py        writes report.png, prefect.png, mlflow.png beside this file

Run it after `make run`. Needs the packages chromium (`apt-get install chromium`) and a started Prefect server (`make prefect`).
"""

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
from mlflow.tracking import MlflowClient

from flows import server

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MLFLOW = "http://127.0.0.1:5011"
CHROMIUM = [
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def shoot(url: str, name: str, size: str = "1400,1000") -> None:
    with tempfile.TemporaryDirectory() as profile:
        command = [*CHROMIUM, f"--user-data-dir={profile}", f"--window-size={size}", "--virtual-time-budget=25000"]
        subprocess.run([*command, f"--screenshot={HERE / name}", url], check=True, capture_output=True, timeout=120)


def last_stage_run(stage: str) -> tuple[str, str]:
    """(experiment id, run id) of the stage's newest MLflow run."""
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db"))
    client = MlflowClient()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    [run] = client.search_runs(experiments, f"attributes.run_name LIKE '{stage}%'", max_results=1)
    return run.info.experiment_id, run.info.run_id


def wait_for(url: str) -> None:
    for _ in range(120):
        try:
            urllib.request.urlopen(url, timeout=2)
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    sys.exit(f"{url} does not answer")


def main() -> None:
    os.chdir(ROOT)
    shoot((ROOT / "reports/report.html").as_uri(), "report.png", "1180,1500")
    pages = server.pages()
    if pages is None:
        sys.exit("no Prefect server is running. Remedy: make prefect")
    shoot(f"{pages}/runs", "prefect.png")
    experiment, run = last_stage_run("co_evolve")
    store = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    command = [sys.executable, "-m", "mlflow", "server", "--port", MLFLOW.rpartition(":")[2], "--backend-store-uri", store]
    process = subprocess.Popen(command, env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})
    try:
        wait_for(f"{MLFLOW}/health")
        shoot(f"{MLFLOW}/#/experiments/{experiment}/runs/{run}/model-metrics", "mlflow.png", "1400,1200")
        shoot(f"{MLFLOW}/#/experiments/{experiment}/traces", "traces.png")
    finally:
        process.terminate()


if __name__ == "__main__":
    main()
