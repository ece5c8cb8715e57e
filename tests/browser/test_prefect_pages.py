"""A person starts, watches, cancels and resumes the pipeline in Prefect's pages, in a real browser."""

from pathlib import Path

import pytest

from tests.browser import chromium, prefect_walk


def test_a_run_is_started_by_form_watched_cancelled_and_resumed_in_the_pages(tmp_path: Path) -> None:
    if chromium.chromium() is None:
        pytest.skip(f"no chromium. Remedy: {chromium.REMEDY}")
    with prefect_walk.team(tmp_path) as team, chromium.opened() as page:
        prefect_walk.walk(page, team)
