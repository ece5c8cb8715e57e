"""Takes the README's screenshots from the checkout's last run, with Debian's headless Chromium.

    python docs/pictures/screenshots.py        writes report.png, prefect.png, mlflow.png, traces.png beside this file

Run it after `make run`. Needs the packages chromium (`apt-get install chromium`) and a started Prefect server (`make prefect`).
"""

import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import websockets
from mlflow.tracking import MlflowClient

from flows.local import prefect_server

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MLFLOW = "http://127.0.0.1:5011"
CHROMIUM = [
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


CLOSE_POPOVERS = """
for (const button of document.querySelectorAll('button')) {
  if (button.innerText === 'Got it' || button.getAttribute('aria-label') === 'Close') button.click();
}
document.querySelectorAll('[aria-label*="lose"]').forEach(button => button.click());
"""


def shoot(url: str, name: str, size: tuple[int, int] = (1400, 1000), wait_s: float = 12.0) -> None:
    """Load a page, let it draw, close what overlays it, and write a PNG, through Chromium's DevTools protocol."""
    with tempfile.TemporaryDirectory() as profile:
        flags = [f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", "--remote-debugging-port=9333"]
        with subprocess.Popen([*CHROMIUM, *flags, "about:blank"], stderr=subprocess.DEVNULL) as browser:
            try:
                wait_for("http://127.0.0.1:9333/json/version")
                (HERE / name).write_bytes(asyncio.run(_picture(url, wait_s)))
            finally:
                browser.terminate()


async def _picture(url: str, wait_s: float) -> bytes:
    with urllib.request.urlopen("http://127.0.0.1:9333/json/list") as answer:
        target = next(page for page in json.load(answer) if page["type"] == "page")
    async with websockets.connect(target["webSocketDebuggerUrl"], max_size=2**26) as socket:

        async def call(number: int, method: str, **params: object) -> dict:
            await socket.send(json.dumps({"id": number, "method": method, "params": params}))
            while (message := json.loads(await socket.recv())).get("id") != number:
                pass
            return message["result"]

        await call(1, "Page.navigate", url=url)
        await asyncio.sleep(wait_s)
        await call(2, "Runtime.evaluate", expression=CLOSE_POPOVERS)
        await asyncio.sleep(wait_s / 2)
        return base64.b64decode((await call(3, "Page.captureScreenshot", format="png"))["data"])


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
    shoot((ROOT / "reports/report.html").as_uri(), "report.png", (1180, 1500), wait_s=2)
    running = prefect_server.PrefectServer().current()
    if running is None:
        sys.exit("no Prefect server is running. Remedy: make prefect")
    shoot(f"{running.url}/runs", "prefect.png")
    experiment, run = last_stage_run("co_evolve")
    store = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--port",
        MLFLOW.rpartition(":")[2],
        "--backend-store-uri",
        store,
    ]
    process = subprocess.Popen(command, env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})
    try:
        wait_for(f"{MLFLOW}/health")
        shoot(f"{MLFLOW}/#/experiments/{experiment}/runs/{run}/model-metrics", "mlflow.png", (1400, 1200))
        shoot(f"{MLFLOW}/#/experiments/{experiment}/traces", "traces.png")
    finally:
        process.terminate()


if __name__ == "__main__":
    main()
