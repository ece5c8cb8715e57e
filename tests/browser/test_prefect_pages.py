"""A person starts, watches, cancels and resumes the pipeline in Prefect's pages, in a real browser."""

from pathlib import Path

import pytest

from tests.browser import prefect_walk


def test_a_run_is_started_by_form_watched_cancelled_and_resumed_in_the_pages(tmp_path: Path) -> None:
    if prefect_walk.chromium() is None:
        pytest.skip(f"no chromium. Remedy: {prefect_walk.REMEDY}")
    with prefect_walk.team(tmp_path) as team, prefect_walk.opened() as page:
        prefect_walk.walk(page, team)
