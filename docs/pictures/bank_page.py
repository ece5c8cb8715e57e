"""Takes the pictures of a bank's page for docs/bank.md, with Debian's headless Chromium.

PYTHONPATH=. python docs/pictures/bank_page.py          of a bank that tests/bank/made_up.py makes up
PYTHONPATH=. python docs/pictures/bank_page.py PAGE     of a page that `crl bank page` wrote
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from crl.config.play import RetrievalConfig
from crl.episode.transcripts import Line, Transcript
from crl.report.bank_history import History
from crl.report.bank_page import write_bank_page
from tests.bank.made_up import make
from tests.browser.chromium import opened

HERE = Path(__file__).parent


def made_up(folder: Path) -> Path:
    history = History.of_ledger(make(folder) / "bank")
    lines = (
        Line("goal", "Reach the stairs."), Line("observation", "You see a key to the east, a door to the north."),
        Line("actor", "pick up the key"), Line("observation", "You have the key."), Line("actor", "apply the key north"),
    )  # fmt: skip
    episodes = {each.origin.episode for written in history.writings.values() for each in written}
    kept = [Transcript(episode, "keyroom", "guided", 0, "success", None, lines) for episode in sorted(episodes)]
    write_bank_page(history, folder / "bank.html", retrieval=RetrievalConfig(), transcripts=kept)
    return folder / "bank.html"


def shoot(page: Page, file: Path) -> None:
    page.set_viewport_size({"width": 1280, "height": 1150})
    page.goto(file.as_uri())
    page.locator("#origin").select_option(label="merge")
    page.locator("#entries").focus()
    page.keyboard.press("Enter")
    page.locator("#entry summary .badge").first.click()
    page.locator("#entry").evaluate("box => box.scrollTop = 0")
    page.screenshot(path=HERE / "bank_entry.png")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 1280, "height": 820})
    page.emulate_media(color_scheme="dark")
    page.get_by_role("tab", name="Rounds").click()
    page.screenshot(path=HERE / "bank_rounds.png")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, opened() as page:
        shoot(page, Path(sys.argv[1]) if len(sys.argv) > 1 else made_up(Path(folder)))


if __name__ == "__main__":
    main()
