"""Takes the picture of the registry's page: a run's candidates, the champion and the former one, with made-up figures.

    PYTHONPATH=. python docs/pictures/mlflow_registry.py        writes mlflow_registry.png beside this file

Starts an MLflow server of its own in a temporary folder. Needs Debian's chromium (`apt-get install chromium`).
"""

import os
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from crl.config import Config, from_mapping
from crl.config.compose import compose
from crl.evaluation.statistics import EpisodeRow
from flows.local.mlflow_server import MlflowServer
from flows.registry import agents
from flows.registry.champion import Champions
from flows.registry.decision import compare, judged
from flows.tracking.recording import recorded
from tests.flows.agents import commit_round, fake_run

HERE = Path(__file__).parent
CLOSE_POPOVERS = """
for (const button of document.querySelectorAll('button'))
  if (button.innerText === 'Got it' || button.getAttribute('aria-label') === 'Close') button.click();
"""


def register(config: Config, uri: str) -> None:
    """Five rounds; of the evaluated ones the first passes, the second does not, the third does."""
    with recorded(config, "prepare") as (record, _):
        run = fake_run(config, Path("state"))
        for round_ in range(5):
            agents.candidate(record, run, commit_round(run, round_))
    champions, held = Champions(uri), None
    for version, won in ((1, 22), (3, 26), (5, 44)):
        opponent = f"version {held[0]}" if held else "the base actor"
        ours, theirs = played(won), played(held[1] if held else 4)
        decision = judged(compare(ours, theirs, config), version, opponent, False if held else None)
        champions.note(version, decision.tags(), decision.reason)
        if decision.verdict == "promoted":
            champions.promote(version, over=held[0] if held else None)
            held = (version, won)


def played(won: int) -> list[EpisodeRow]:
    return [EpisodeRow("room", f"level{i}", "guided", "after", i < won, 5) for i in range(60)]


def shoot(url: str, file: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 1100})
        page.goto(url)
        page.get_by_text("champion").first.wait_for(timeout=120_000)
        page.wait_for_timeout(3_000)
        page.evaluate(CLOSE_POPOVERS)
        page.evaluate("document.body.style.zoom = 0.6")
        page.wait_for_timeout(3_000)
        page.screenshot(path=file)
        browser.close()
    Image.open(file).convert("RGB").quantize(64).save(file, optimize=True)  # a fifth of the bytes


def main() -> None:
    config = from_mapping(compose("quick", folder=HERE.parents[1] / "conf"))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        server = MlflowServer(Path(folder))
        url = os.environ["MLFLOW_TRACKING_URI"] = server.start().url
        try:
            register(config, url)
            shoot(f"{url}/#/models/{agents.policy().model}", HERE / "mlflow_registry.png")
        finally:
            server.stop()
            os.chdir(HERE)


if __name__ == "__main__":
    main()
