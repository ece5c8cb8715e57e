"""A real browser, headless."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, expect, sync_playwright

WAIT_MS = 300_000  # for a page on a busy machine, and for a run to start there
REMEDY = "apt-get install -y --no-install-recommends chromium"


def chromium() -> str | None:
    """The browser's program, where it is installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def opened() -> Iterator[Page]:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(WAIT_MS)
            expect.set_options(timeout=WAIT_MS)
            yield page
        finally:
            browser.close()
